"""GPT (Radford et al. 2018: norms after each part), GPT-2 (Radford et al. 2019) and GPT-3's sizes (Brown et al. 2020,
table 2.1): learned positions, GELU.

GPT-3 alternates dense and locally banded layers (section 2.1), and does not say how wide a band is: here it is as wide
as GPT-Neo's, 256. Its table gives the 1.3B model 24 heads of 128, which do not make its width of 2,048 nor its
1.3 billion parameters: here it has 16.
"""

from collections.abc import Collection
from typing import Any

from t2t.attention import Dense, Sparse, local
from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need, refuse
from t2t.families.heads import Head, Outputs, class_of, classes, head_rows, labels_in, outputs_of
from t2t.families.rows import CONV1D, CONV1D_OUT, LINEAR, Layout, Row, linear, norm
from t2t.models import ModelConfig


def size(width: int, heads: int, layers: int, length: int, **changes: Any) -> ModelConfig:
    """A size of the kin, by default of GPT-2's form."""
    return ModelConfig(
        **{
            "architecture": "decoder",
            "vocab_size": 50_257,
            "width": width,
            "heads": heads,
            "mlp_width": 4 * width,
            "decoder_layers": layers,
            "norm": "layer",
            "norm_place": "pre",
            "norm_epsilon": 1e-5,
            "bias": True,
            "activation": "gelu_tanh",
            "positions": "learned",
            "max_length": length,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "init": "normal",
            "init_std": 0.02,
            "residual_init_scale": (2 * layers) ** -0.5,
        }
        | changes
    )


_FIRST = {"vocab_size": 40_478, "norm_place": "post", "final_norm": False, "residual_init_scale": 1.0}
_BANDED = {"attention": (Dense(), Sparse(pattern=local(256)))}
SIZES = {
    "openai_gpt": size(768, 12, 12, 512, **_FIRST),
    "gpt2_small": size(768, 12, 12, 1024),
    "gpt2_medium": size(1024, 16, 24, 1024),
    "gpt2_large": size(1280, 20, 36, 1024),
    "gpt2_xl": size(1600, 25, 48, 1024),
    "gpt3_125m": size(768, 12, 12, 2048, **_BANDED),
    "gpt3_350m": size(1024, 16, 24, 2048, **_BANDED),
    "gpt3_760m": size(1536, 16, 24, 2048, **_BANDED),
    "gpt3_1_3b": size(2048, 16, 24, 2048, **_BANDED),
    "gpt3_2_7b": size(2560, 32, 32, 2048, **_BANDED),
    "gpt3_6_7b": size(4096, 32, 32, 2048, **_BANDED),
    "gpt3_13b": size(5140, 40, 40, 2048, head_width=128, **_BANDED),
    "gpt3_175b": size(12_288, 96, 96, 2048, **_BANDED),
}


# Of all three, and of GPT-Neo; a class for sequences has no bias, and looks at the last token.
HEADS = {
    (): Head(),
    ("vocabulary",): Head(),
    ("sequence",): Head("score"),
    ("tagging",): Head("classifier"),
}


def outputs_in(values: Values, known: dict[str, Outputs]) -> dict[str, Any]:
    """The fields of a config that say what is read off the states of a decoder."""
    outputs = outputs_of(values, known)
    of_sequence = outputs == ("sequence",)
    return {
        "outputs": outputs,
        "labels": labels_in(values, outputs),
        "labels_bias": not of_sequence,
        "pooled": "last" if of_sequence else "first",
    }


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """GPT and GPT-2."""
    first = values["model_type"] == "openai-gpt"
    vocab, length, width, layers, heads = need(values, "vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    refuse(values, add_cross_attention=False)
    key, usual = ("afn", "gelu") if first else ("activation_function", "gelu_new")
    # The first GPT's "gelu" is the form with the hyperbolic tangent.
    tanh = first and values.get(key, usual) == "gelu"
    return ModelConfig(
        architecture="decoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=values.get("n_inner") or 4 * width,
        decoder_layers=layers,
        start_id=values.get("decoder_start_token_id"),
        norm_place="post" if first else "pre",
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
        final_norm=not first,
        activation="gelu_tanh" if tanh else activation(values, key, usual),
        scale_attention=values.get("scale_attn_weights", True),
        scale_attention_by_layer=values.get("scale_attn_by_inverse_layer_idx", False),
        positions="learned",
        max_length=length,
        dropout=values.get("resid_pdrop", 0.1),
        attention_dropout=values.get("attn_pdrop", 0.1),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        residual_init_scale=1.0 if first else (2 * layers) ** -0.5,
        tie_logits="lm_head.weight" not in tensors,
        **outputs_in(values, CLASSES[values["model_type"]]),
    )


def write(config: ModelConfig, name: str) -> dict[str, Any]:
    """The inverse of `read`."""
    act = NAMES_OF_ACTIVATIONS[config.activation]
    written = {
        "architectures": [class_of(config.outputs, CLASSES[name])],
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_embd": config.width,
        "n_layer": config.decoder_layers,
        "decoder_start_token_id": config.start_id,
        "n_head": config.heads,
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tie_logits,
    }
    if name == "openai-gpt":
        return {**written, "afn": "gelu" if act == "gelu_new" else act}
    return {
        **written,
        "n_ctx": config.max_length,
        "n_inner": config.mlp_width,
        "activation_function": act,
        "scale_attn_weights": config.scale_attention,
        "scale_attn_by_inverse_layer_idx": config.scale_attention_by_layer,
    }


def rows(config: ModelConfig, tables: tuple[str, str]) -> list[Row]:
    """Kernels are [in out]; those of queries, keys and values stand side by side.

    Args:
      tables: the names of tokens' and of positions'.
    """
    found = [
        Row(ours, f"transformer.{theirs}.weight")
        for ours, theirs in zip(("tokens/table", "decoder_embedder/positions/table"), tables)
    ]
    if config.final_norm:
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
    if "vocabulary" in config.outputs and not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_head.weight", LINEAR))
    return found + head_rows(config, HEADS[config.outputs])


OTHERS = ("ForMaskedLM", "ForMultipleChoice", "ForQuestionAnswering")  # classes that are not here
CLASSES = {
    "gpt2": {"GPT2LMHeadModel": ("vocabulary",)} | classes("GPT2", without=OTHERS),
    "openai-gpt": {"OpenAIGPTLMHeadModel": ("vocabulary",)}
    | classes("OpenAIGPT", without=(*OTHERS, "ForTokenClassification")),
}
TABLES = {"gpt2": ("wte", "wpe"), "openai-gpt": ("tokens_embed", "positions_embed")}
FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        lambda config, tables=tables: rows(config, tables),
        CLASSES[name],
        prefix="transformer.",
        silent=r".*\.attn\.(masked_)?bias",
    )
    for name, tables in TABLES.items()
)
