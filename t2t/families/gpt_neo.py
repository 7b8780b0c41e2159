"""GPT-Neo (Black et al. 2021): GPT-2's form without a scale on the logits of attention, and with layers that see
everything and layers that see a window taking turns."""

from collections.abc import Collection
from typing import Any

from t2t.attention import AttentionConfig, Dense, Sparse, local
from t2t.errors import ConfigError
from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need
from t2t.families.gpt import HEADS, OTHERS, outputs_in, size
from t2t.families.heads import class_of, classes, head_rows
from t2t.families.rows import LINEAR, Row, attention, linear, norm
from t2t.families.turns import shortest_turn, window_of
from t2t.layers.config import cycle
from t2t.models import ModelConfig

TURNS = [[["global", "local"], 12]]  # where config.json is silent
CLASSES = {"GPTNeoForCausalLM": ("vocabulary",)} | classes("GPTNeo", without=OTHERS)
_NEO = {
    "attention": (Dense(), Sparse(pattern=local(256))),
    "scale_attention": False,
    "attention_bias": ("out",),
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "residual_init_scale": 1.0,
}
SIZES = {
    "gpt_neo_125m": size(768, 12, 12, 2048, **_NEO),
    "gpt_neo_1_3b": size(2048, 16, 24, 2048, **_NEO),
    "gpt_neo_2_7b": size(2560, 20, 32, 2048, **_NEO),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """GPT-Neo."""
    vocab, length, width, layers, heads = need(
        values, "vocab_size", "max_position_embeddings", "hidden_size", "num_layers", "num_heads"
    )
    return ModelConfig(
        architecture="decoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=values.get("intermediate_size") or 4 * width,
        decoder_layers=layers,
        start_id=values.get("decoder_start_token_id"),
        attention=_turns(values, layers),
        scale_attention=False,
        attention_bias=("out",),
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
        activation=activation(values, "activation_function", "gelu_new"),
        positions="learned",
        max_length=length,
        dropout=values.get("resid_dropout", 0.0),
        attention_dropout=values.get("attention_dropout", 0.0),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        tie_logits="lm_head.weight" not in tensors,
        **outputs_in(values, CLASSES),
    )


def _turns(values: Values, layers: int) -> AttentionConfig | tuple[AttentionConfig, ...]:
    """The mechanisms that take turns, of `attention_types`: [[kinds, how often], …]."""
    kinds = [kind for some, times in values.get("attention_types") or TURNS for kind in list(some) * times]
    known = {"global": Dense(), "local": Sparse(pattern=local(values.get("window_size", 256)))}
    if len(kinds) != layers or set(kinds) - set(known):
        raise ConfigError(
            f"config.json: attention_types name {len(kinds)} layers, {sorted(set(kinds))}; expected num_layers "
            f"{layers} of {', '.join(known)}."
        )
    turn = tuple(known[kind] for kind in shortest_turn(kinds))
    return turn if len(turn) > 1 else turn[0]


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    turn = cycle(config.attention)
    windows = {window_of(mechanism) for mechanism in turn} - {None}
    if len(windows) > 1:
        raise ConfigError(f"attention: GPT-Neo's windows are one for all layers, found {sorted(windows)}.")
    kinds = ["global" if window_of(mechanism) is None else "local" for mechanism in turn]
    times = config.decoder_layers // len(turn)
    return {
        "architectures": [class_of(config.outputs, CLASSES)],
        "vocab_size": config.vocab_size,
        "decoder_start_token_id": config.start_id,
        "max_position_embeddings": config.max_length,
        "hidden_size": config.width,
        "num_layers": config.decoder_layers,
        "num_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "attention_types": [[kinds, times]],
        "attention_layers": kinds * times,
        "window_size": min(windows, default=256),
        "activation_function": NAMES_OF_ACTIVATIONS[config.activation],
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_dropout": config.dropout,
        "embed_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tie_logits,
    }


def rows(config: ModelConfig) -> list[Row]:
    """GPT-2's names around a layer, and its own within attention."""
    found = [Row("tokens/table", "transformer.wte.weight")]
    found += [Row("decoder_embedder/positions/table", "transformer.wpe.weight")]
    found += norm("decoder/norm", "transformer.ln_f")
    ours, theirs = "decoder/layer_{i}", "transformer.h.{i}"
    for part, theirs_norm in (("self_attention", "ln_1"), ("feed_forward", "ln_2")):
        found += norm(f"{ours}/{part}_norm", f"{theirs}.{theirs_norm}")
    names = (f"{name}_proj" for name in ("q", "k", "v", "out"))
    found += attention(f"{ours}/self_attention", f"{theirs}.attn.attention", names, bias=("out",))
    for side, name in (("in", "c_fc"), ("out", "c_proj")):
        found += linear(f"{ours}/feed_forward/{side}", f"{theirs}.mlp.{name}")
    if "vocabulary" in config.outputs and not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_head.weight", LINEAR))
    return found + head_rows(config, HEADS[config.outputs])


FAMILIES = (
    Family(
        "gpt_neo",
        read,
        write,
        rows,
        CLASSES,
        prefix="transformer.",
        silent=r".*\.attn\.attention\.(masked_)?bias",
    ),
)
