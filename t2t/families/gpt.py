"""GPT-2 (Radford et al. 2019) and GPT-3's dense sizes (Brown et al. 2020, table 2.1): pre-norm, learned positions,
GELU.

GPT-3 alternates dense and locally banded layers; these configs have its sizes with dense attention throughout. Its
table gives the 1.3B model 24 heads of 128, which do not make its width of 2,048 nor its 1.3 billion parameters: here
it has 16.
"""

from collections.abc import Collection
from typing import Any

from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need, refuse
from t2t.families.heads import class_of, outputs_of
from t2t.families.rows import CONV1D, CONV1D_OUT, LINEAR, Layout, Row, linear, norm
from t2t.models import ModelConfig


def _size(width: int, heads: int, layers: int, length: int, head_width: int | None = None) -> ModelConfig:
    return ModelConfig(
        architecture="decoder",
        vocab_size=50_257,
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=4 * width,
        decoder_layers=layers,
        norm="layer",
        norm_place="pre",
        norm_epsilon=1e-5,
        bias=True,
        activation="gelu_tanh",
        positions="learned",
        max_length=length,
        dropout=0.1,
        attention_dropout=0.1,
        init="normal",
        init_std=0.02,
        residual_init_scale=(2 * layers) ** -0.5,
    )


SIZES = {
    "gpt2_small": _size(768, 12, 12, 1024),
    "gpt2_medium": _size(1024, 16, 24, 1024),
    "gpt2_large": _size(1280, 20, 36, 1024),
    "gpt2_xl": _size(1600, 25, 48, 1024),
    "gpt3_125m": _size(768, 12, 12, 2048),
    "gpt3_350m": _size(1024, 16, 24, 2048),
    "gpt3_760m": _size(1536, 16, 24, 2048),
    "gpt3_1_3b": _size(2048, 16, 24, 2048),
    "gpt3_2_7b": _size(2560, 32, 32, 2048),
    "gpt3_6_7b": _size(4096, 32, 32, 2048),
    "gpt3_13b": _size(5140, 40, 40, 2048, head_width=128),
    "gpt3_175b": _size(12_288, 96, 96, 2048),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """GPT-2."""
    vocab, length, width, layers, heads = need(values, "vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    refuse(values, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    return ModelConfig(
        architecture="decoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=values.get("n_inner") or 4 * width,
        decoder_layers=layers,
        start_id=values.get("decoder_start_token_id"),
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
        activation=activation(values, "activation_function", "gelu_new"),
        scale_attention=values.get("scale_attn_weights", True),
        positions="learned",
        max_length=length,
        dropout=values.get("resid_pdrop", 0.1),
        attention_dropout=values.get("attn_pdrop", 0.1),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        residual_init_scale=(2 * layers) ** -0.5,
        tie_logits="lm_head.weight" not in tensors,
        outputs=outputs_of(values, CLASSES),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    return {
        "architectures": [class_of(config.outputs, CLASSES)],
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_ctx": config.max_length,
        "n_embd": config.width,
        "n_layer": config.decoder_layers,
        "decoder_start_token_id": config.start_id,
        "n_head": config.heads,
        "n_inner": config.mlp_width,
        "layer_norm_epsilon": config.norm_epsilon,
        "activation_function": NAMES_OF_ACTIVATIONS[config.activation],
        "scale_attn_weights": config.scale_attention,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tie_logits,
    }


def rows(config: ModelConfig) -> list[Row]:
    """GPT-2's kernels are [in out]; those of queries, keys and values stand side by side."""
    found = [Row("tokens/table", "transformer.wte.weight")]
    found += [Row("decoder_embedder/positions/table", "transformer.wpe.weight")]
    found += norm("decoder/norm", "transformer.ln_f")
    ours, theirs = "decoder/layer_{i}", "transformer.h.{i}"
    for part, theirs_norm in (("self_attention", "ln_1"), ("feed_forward", "ln_2")):
        found += norm(f"{ours}/{part}_norm", f"{theirs}.{theirs_norm}")
    for i, role in enumerate(("query", "key", "value")):
        kernel, bias = Layout("kernel", transposed=False, part=(i, 3)), Layout("flat", part=(i, 3))
        found.append(Row(f"{ours}/self_attention/{role}/kernel", f"{theirs}.attn.c_attn.weight", kernel))
        found.append(Row(f"{ours}/self_attention/{role}/bias", f"{theirs}.attn.c_attn.bias", bias))
    found += linear(f"{ours}/self_attention/out", f"{theirs}.attn.c_proj", layout=CONV1D_OUT)
    found += linear(f"{ours}/feed_forward/in", f"{theirs}.mlp.c_fc", layout=CONV1D)
    found += linear(f"{ours}/feed_forward/out", f"{theirs}.mlp.c_proj", layout=CONV1D)
    if not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_head.weight", LINEAR))
    return found


CLASSES = {"GPT2LMHeadModel": ("vocabulary",), "GPT2Model": ()}
FAMILIES = (Family("gpt2", read, write, rows, CLASSES, prefix="transformer.", silent=r".*\.attn\.(masked_)?bias"),)
