"""T5 v1.0 (Raffel et al. 2020, section 3.8) and v1.1 (its released checkpoints: gated, untied, no logit scaling),
mT5 (Xue et al. 2021) and ByT5 (Xue et al. 2022), which are of v1.1's form.

Pre-RMS-norm without biases, relative bias shared by a stack's layers, logits of attention not scaled.
"""

from collections.abc import Collection
from typing import Any

from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need, start_of
from t2t.families.rows import LINEAR, Row, attention, linear, norm
from t2t.models import ModelConfig

TABLE = 32_128  # rows of the table: 32,000 pieces and 100 sentinels, rounded up


def _size(width: int, heads: int, head_width: int, mlp_width: int, layers: int, v1_1: bool) -> ModelConfig:
    return ModelConfig(
        architecture="encoder-decoder",
        vocab_size=TABLE,
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=mlp_width,
        encoder_layers=layers,
        decoder_layers=layers,
        norm="rms",
        norm_place="pre",
        bias=False,
        scale_attention=False,
        positions="relative_bias",
        init="t5",
        dropout=0.1,
        attention_dropout=0.1,
        mlp_dropout=0.1,
        dropout_over_length=True,
        final_dropout=True,
        activation="gelu_tanh" if v1_1 else "relu",
        gated=v1_1,
        tie_logits=not v1_1,
        scale_logits=not v1_1,
    )


SIZES = {
    "t5_small": _size(512, 8, 64, 2048, 6, v1_1=False),
    "t5_base": _size(768, 12, 64, 3072, 12, v1_1=False),
    "t5_large": _size(1024, 16, 64, 4096, 24, v1_1=False),
    "t5_3b": _size(1024, 32, 128, 16_384, 24, v1_1=False),
    "t5_11b": _size(1024, 128, 128, 65_536, 24, v1_1=False),
    "t5_v1_1_small": _size(512, 6, 64, 1024, 8, v1_1=True),
    "t5_v1_1_base": _size(768, 12, 64, 2048, 12, v1_1=True),
    "t5_v1_1_large": _size(1024, 16, 64, 2816, 24, v1_1=True),
    "t5_v1_1_xl": _size(2048, 32, 64, 5120, 24, v1_1=True),
    "t5_v1_1_xxl": _size(4096, 64, 64, 10_240, 24, v1_1=True),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """v1.0 and v1.1 differ in what is tied, which is told by the tensors: config.json has not always said it."""
    vocab, width, head_width, mlp_width, layers, heads = need(
        values, "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"
    )
    form = values.get("feed_forward_proj", "relu")
    # "gated-gelu" has always been the form with the hyperbolic tangent.
    named = {"feed_forward_proj": "gelu_new" if form == "gated-gelu" else form.removeprefix("gated-")}
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
        # mT5's are never scaled, whatever its config.json says.
        scale_logits=values.get("model_type", "t5") == "t5"
        and values.get("scale_decoder_outputs", values.get("tie_word_embeddings", True)),
    )


def write(config: ModelConfig, prefix: str) -> dict[str, Any]:
    """The inverse of `read`. Old versions of transformers take what is tied for what is scaled, and new ones read
    `scale_decoder_outputs`."""
    name = NAMES_OF_ACTIVATIONS[config.activation]
    gated = "gelu" if name == "gelu_new" else name
    alone = config.architecture == "encoder"
    return {
        "architectures": [f"{prefix}{'EncoderModel' if alone else 'ForConditionalGeneration'}"],
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
        "tie_word_embeddings": config.tie_logits,
        "scale_decoder_outputs": config.scale_logits,
    }


def rows(config: ModelConfig) -> list[Row]:
    """The table, then each stack."""
    found = [Row("tokens/table", "shared.weight")]
    for side in ("encoder", "decoder"):
        if not getattr(config, f"{side}_layers"):
            continue
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found.append(Row(f"{side}/relative_bias/table", bias, LINEAR))
        found += norm(f"{side}/norm", f"{side}.final_layer_norm", bias=False)
        ours, theirs = f"{side}/layer_{{i}}", f"{side}.block.{{i}}.layer"
        parts = [("self_attention", "SelfAttention"), ("cross_attention", "EncDecAttention")][: 1 + (side == "decoder")]
        for j, (part, module) in enumerate(parts):
            found += norm(f"{ours}/{part}_norm", f"{theirs}.{j}.layer_norm", bias=False)
            found += attention(f"{ours}/{part}", f"{theirs}.{j}.{module}", "qkvo", bias=False)
        last = f"{theirs}.{len(parts)}"
        found += norm(f"{ours}/feed_forward_norm", f"{last}.layer_norm", bias=False)
        names = {"gate": "wi_0", "in": "wi_1", "out": "wo"} if config.gated else {"in": "wi", "out": "wo"}
        for a, b in names.items():
            found += linear(f"{ours}/feed_forward/{a}", f"{last}.DenseReluDense.{b}", bias=False)
    if config.outputs and not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_head.weight", LINEAR))
    return found


FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, prefix=prefix: write(config, prefix),
        rows,
        classes={f"{prefix}ForConditionalGeneration": ("vocabulary",), f"{prefix}EncoderModel": ()},
        silent=r"(en|de)coder\.embed_tokens\.weight",
    )
    for name, prefix in (("t5", "T5"), ("mt5", "MT5"))
)
