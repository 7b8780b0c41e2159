"""T5 v1.0 (Raffel et al. 2020, section 3.8) and v1.1 (its released checkpoints: gated, untied, no logit scaling),
and those of v1.1's form: mT5 (Xue et al. 2021), ByT5 (Xue et al. 2022), UMT5 (Chung et al. 2023), whose layers have a
relative bias each, and LongT5 (Guo et al. 2022), whose encoder sees a window, with summaries of what is farther away or
without.

Pre-RMS-norm without biases, relative bias shared by a stack's layers, logits of attention not scaled.
"""

from collections.abc import Collection
from typing import Any

from t2t.attention import AttentionConfig, Dense, Sparse, TransientGlobal, local
from t2t.errors import ConfigError
from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need, start_of
from t2t.families.rows import LINEAR, Row, attention, linear, norm
from t2t.families.turns import window_of
from t2t.models import ModelConfig

TABLE = 32_128  # rows of the table: 32,000 pieces and 100 sentinels, rounded up
MT5_TABLE, UMT5_TABLE, BYTES = 250_112, 256_384, 384


def _size(
    width: int, heads: int, head_width: int, mlp_width: int, layers: int, v1_1: bool = True, **changes: Any
) -> ModelConfig:
    return ModelConfig(
        **{
            "architecture": "encoder-decoder",
            "vocab_size": TABLE,
            "width": width,
            "heads": heads,
            "head_width": head_width,
            "mlp_width": mlp_width,
            "encoder_layers": layers,
            "decoder_layers": layers,
            "norm": "rms",
            "norm_place": "pre",
            "bias": False,
            "scale_attention": False,
            "positions": "relative_bias",
            "init": "t5",
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "mlp_dropout": 0.1,
            "dropout_over_length": True,
            "final_dropout": True,
            "activation": "gelu_tanh" if v1_1 else "relu",
            "gated": v1_1,
            "tie_logits": not v1_1,
            "scale_logits": not v1_1,
        }
        | changes
    )


V1_1 = {  # width, heads, head width, feed-forward width, layers
    "small": (512, 6, 64, 1024, 8),
    "base": (768, 12, 64, 2048, 12),
    "large": (1024, 16, 64, 2816, 24),
    "xl": (2048, 32, 64, 5120, 24),
    "xxl": (4096, 64, 64, 10_240, 24),
}
SIZES = {
    "t5_small": _size(512, 8, 64, 2048, 6, v1_1=False),
    "t5_base": _size(768, 12, 64, 3072, 12, v1_1=False),
    "t5_large": _size(1024, 16, 64, 4096, 24, v1_1=False),
    "t5_3b": _size(1024, 32, 128, 16_384, 24, v1_1=False),
    "t5_11b": _size(1024, 128, 128, 65_536, 24, v1_1=False),
    **{f"t5_v1_1_{name}": _size(*size) for name, size in V1_1.items()},
    **{f"mt5_{name}": _size(*size, vocab_size=MT5_TABLE) for name, size in V1_1.items()},
    "byt5_small": _size(1472, 6, 64, 3584, 12, decoder_layers=4, vocab_size=BYTES),
    "byt5_base": _size(1536, 12, 64, 3968, 18, decoder_layers=6, vocab_size=BYTES),
    "byt5_large": _size(1536, 16, 64, 3840, 36, decoder_layers=12, vocab_size=BYTES),
    "byt5_xl": _size(2560, 32, 64, 6720, 36, decoder_layers=12, vocab_size=BYTES),
    "byt5_xxl": _size(4672, 64, 64, 12_352, 36, decoder_layers=12, vocab_size=BYTES),
    **{
        f"umt5_{name}": _size(*V1_1[name], vocab_size=UMT5_TABLE, relative_every_layer=True)
        for name in ("small", "base", "xl", "xxl")
    },
    **{
        f"long_t5_{kind}_{name}": _size(*V1_1[name], attention=mechanism, decoder_attention=Dense())
        for kind, mechanism, names in (
            ("local", Sparse(pattern=local(128)), ("base", "large")),
            ("tglobal", TransientGlobal(window=128, block=16), ("base", "large", "xl")),
        )
        for name in names
    },
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """v1.0 and v1.1 differ in what is tied, which is told by the tensors: config.json has not always said it."""
    vocab, width, head_width, mlp_width, layers, heads = need(
        values, "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"
    )
    form = values.get("feed_forward_proj", "relu")
    # "gated-gelu" has always been the form with the hyperbolic tangent.
    named = {"feed_forward_proj": "gelu_new" if form == "gated-gelu" else form.removeprefix("gated-")}
    own = _encoder_attention(values)
    alone = (values.get("architectures") or [""])[0].endswith("EncoderModel")
    alone = alone or not values.get("is_encoder_decoder", True)
    rate = values.get("dropout_rate", 0.1)
    return ModelConfig(
        architecture="encoder" if alone else "encoder-decoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=mlp_width,
        encoder_layers=layers,
        decoder_layers=0 if alone else values.get("num_decoder_layers") or layers,
        start_id=start_of(values, "pad_token_id", 0),
        norm="rms",
        norm_epsilon=values.get("layer_norm_epsilon", 1e-6),
        bias=False,
        scale_attention=False,
        positions="relative_bias",
        relative_buckets=values.get("relative_attention_num_buckets", 32),
        relative_max_distance=values.get("relative_attention_max_distance", 128),
        relative_every_layer=values.get("model_type") == "umt5",
        attention=own,
        decoder_attention=None if alone or own == Dense() else Dense(),
        init="t5",
        dropout=rate,
        attention_dropout=rate,
        mlp_dropout=rate,
        dropout_over_length=True,
        final_dropout=True,
        activation=activation(named, "feed_forward_proj", "relu"),
        gated=form.startswith("gated-"),
        outputs=() if alone else ("vocabulary",),
        tie_logits="lm_head.weight" not in tensors,
        scale_logits=_scales_logits(values),
    )


def _scales_logits(values: Values) -> bool:
    """Whether states are divided by sqrt(d) before logits: told by what config.json says is tied, which old versions of
    transformers took for it, or by its own name; mT5's never are, whatever its config.json says."""
    tied = values.get("tie_word_embeddings", True)
    return {"mt5": False, "umt5": tied}.get(values.get("model_type"), values.get("scale_decoder_outputs", tied))


def _encoder_attention(values: Values) -> AttentionConfig:
    """LongT5's encoders see a window (Guo et al. 2022, section 3.1); all others see everything."""
    if values.get("model_type") != "longt5":
        return Dense()
    kind, window = values.get("encoder_attention_type", "local"), values.get("local_radius", 127) + 1
    if kind == "local":
        return Sparse(pattern=local(window))
    if kind != "transient-global":
        raise ConfigError(
            f"config.json: encoder_attention_type '{kind}' is not supported; there are local, transient-global."
        )
    return TransientGlobal(
        window=window,
        block=values.get("global_block_size", 16),
        buckets=values.get("relative_attention_num_buckets", 32),
        max_distance=values.get("relative_attention_max_distance", 128),
        epsilon=values.get("layer_norm_epsilon", 1e-6),
    )


def write(config: ModelConfig, model_type: str) -> dict[str, Any]:
    """The inverse of `read`. Old versions of transformers take what is tied for what is scaled, and new ones read
    `scale_decoder_outputs`."""
    name, own = NAMES_OF_ACTIVATIONS[config.activation], config.attention
    gated = "gelu" if name == "gelu_new" else name
    alone = config.architecture == "encoder"
    return {
        "architectures": [f"{PREFIXES[model_type]}{'EncoderModel' if alone else 'ForConditionalGeneration'}"],
        "is_encoder_decoder": not alone,
        "vocab_size": config.vocab_size,
        "d_model": config.width,
        "d_kv": config.head_width,
        "d_ff": config.mlp_width,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers or config.encoder_layers,
        "num_heads": config.heads,
        "decoder_start_token_id": config.start_id,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "feed_forward_proj": f"gated-{gated}" if config.gated else name,
        "tie_word_embeddings": config.scale_logits if model_type == "umt5" else config.tie_logits,
        **({} if model_type == "umt5" else {"scale_decoder_outputs": config.scale_logits}),
        **(_long(own) if model_type == "longt5" else {}),
    }


def _long(attention: AttentionConfig) -> dict[str, Any]:
    """What LongT5's config.json says of its encoder's attention."""
    if isinstance(attention, TransientGlobal):
        names = {"encoder_attention_type": "transient-global", "global_block_size": attention.block}
        return names | {"local_radius": attention.window - 1}
    window = window_of(attention)
    if window is None:
        raise ConfigError(
            f"LongT5's encoder has TransientGlobal() or Sparse(pattern='local(…)') as attention, found {attention!r}."
        )
    return {"encoder_attention_type": "local", "local_radius": window - 1}


def rows(config: ModelConfig) -> list[Row]:
    """The table, then each stack."""
    found = [Row("tokens/table", "shared.weight")]
    for side in ("encoder", "decoder"):
        if not getattr(config, f"{side}_layers"):
            continue
        own = MODULES.get(type(config.attention), "SelfAttention") if side == "encoder" else "SelfAttention"
        at, table = ("{i}", f"{side}/layer_{{i}}") if config.relative_every_layer else ("0", side)
        bias = f"{side}.block.{at}.layer.0.{own}.relative_attention_bias.weight"
        found.append(Row(f"{table}/relative_bias/table", bias, LINEAR))
        found += norm(f"{side}/norm", f"{side}.final_layer_norm", bias=False)
        ours, theirs = f"{side}/layer_{{i}}", f"{side}.block.{{i}}.layer"
        parts = [("self_attention", own), ("cross_attention", "EncDecAttention")][: 1 + (side == "decoder")]
        for j, (part, module) in enumerate(parts):
            found += norm(f"{ours}/{part}_norm", f"{theirs}.{j}.layer_norm", bias=False)
            found += attention(f"{ours}/{part}", f"{theirs}.{j}.{module}", "qkvo", bias=False)
        last = f"{theirs}.{len(parts)}"
        found += norm(f"{ours}/feed_forward_norm", f"{last}.layer_norm", bias=False)
        names = {"gate": "wi_0", "in": "wi_1", "out": "wo"} if config.gated else {"in": "wi", "out": "wo"}
        for a, b in names.items():
            found += linear(f"{ours}/feed_forward/{a}", f"{last}.DenseReluDense.{b}", bias=False)
    if isinstance(config.attention, TransientGlobal):
        module, shared = "layer.0.TransientGlobalSelfAttention", "encoder/shared_self_attention_0/summary_bias"
        bias = f"encoder.block.0.{module}.global_relative_attention_bias.weight"
        scale = f"encoder.block.{{i}}.{module}.global_input_layer_norm.weight"
        found.append(Row(shared, bias, LINEAR))
        found.append(Row("encoder/layer_{i}/self_attention/summary_scale", scale))
    if config.outputs and not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_head.weight", LINEAR))
    return found


MODULES = {Sparse: "LocalSelfAttention", TransientGlobal: "TransientGlobalSelfAttention"}
PREFIXES = {"t5": "T5", "mt5": "MT5", "umt5": "UMT5", "longt5": "LongT5"}
# Copies of the table, and a bias of the first releases that nothing reads.
SILENT = r"(en|de)coder\.embed_tokens\.weight|decoder\..*\.EncDecAttention\.relative_attention_bias\.weight"
FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        rows,
        classes={f"{prefix}ForConditionalGeneration": ("vocabulary",), f"{prefix}EncoderModel": ()},
        silent=SILENT,
        calls=Calls(padding_sees=name != "longt5"),
    )
    for name, prefix in PREFIXES.items()
)
