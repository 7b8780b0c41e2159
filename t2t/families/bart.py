"""BART (Lewis et al. 2020), mBART (Liu et al. 2020), Pegasus (Zhang et al. 2020) and Marian (Junczys-Dowmunt et al.
2018): one family of names, four forms of the original Transformer.

| | norms | after the embeddings | positions |
|---|---|---|---|
| BART | after each part | a norm | learned, the table has two rows in front that nothing reads |
| mBART | before each part, and at the end | a norm | as BART's |
| Pegasus | before each part, and at the end | – | sinusoidal, in the file too |
| Marian | after each part | – | sinusoidal |
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need, refuse, start_of
from t2t.families.heads import Head, class_of, head_rows, labels_in, outputs_of
from t2t.families.rows import Layout, Row, attention, linear, norm
from t2t.layers.positions import sinusoids
from t2t.models import ModelConfig

FORMS = {  # model_type: (norm_place, embedding_norm, positions)
    "bart": ("post", True, "learned"),
    "mbart": ("pre", True, "learned"),
    "pegasus": ("pre", False, "sinusoidal"),
    "marian": ("post", False, "sinusoidal"),
}
STARTS = {  # the token that a decoder begins with, and its id, where config.json does not say
    "bart": ("eos_token_id", 2),
    "mbart": ("bos_token_id", 0),
    "pegasus": ("pad_token_id", 0),
    "marian": ("pad_token_id", 58_100),
}


def _size(name: str, width: int, layers: int, vocab: int, **changes: Any) -> ModelConfig:
    place, embedding_norm, positions = FORMS[name]
    return ModelConfig(
        **{
            "architecture": "encoder-decoder",
            "vocab_size": vocab,
            "width": width,
            "heads": 16,
            "mlp_width": 4 * width,
            "encoder_layers": layers,
            "decoder_layers": layers,
            "norm_place": place,
            "norm_epsilon": 1e-5,
            "final_norm": place == "pre",
            "embedding_norm": embedding_norm,
            "activation": "gelu",
            "positions": positions,
            "position_offset": 2 if positions == "learned" else 0,
            "max_length": 1024,
            "dropout": 0.1,
            "init": "normal",
            "logits_bias": True,
            "pooled": "last",
        }
        | changes
    )


SIZES = {
    "bart_base": _size("bart", 768, 6, 50_265, heads=12),
    "bart_large": _size("bart", 1024, 12, 50_265),
    "mbart_large": _size("mbart", 1024, 12, 250_027, scale_embeddings=True, activation="gelu"),
    "pegasus_large": _size("pegasus", 1024, 16, 96_103, scale_embeddings=True, activation="relu"),
    "marian_en_de": _size("marian", 512, 6, 58_101, heads=8, max_length=512, scale_embeddings=True, activation="silu"),
}


_CLASSIFIED = Head("classification_head.out_proj", "classification_head.dense")
HEADS = {("sequence",): _CLASSIFIED, ("spans",): Head("qa_outputs"), ("vocabulary",): Head(), (): Head()}
_CONDITIONAL = {"ForConditionalGeneration": ("vocabulary",), "Model": ()}
_READERS = {"ForSequenceClassification": ("sequence",), "ForQuestionAnswering": ("spans",)}
CLASSES = {
    name: {f"{prefix}{ending}": outputs for ending, outputs in endings.items()}
    for name, prefix, endings in (
        ("bart", "Bart", _CONDITIONAL | _READERS),
        ("mbart", "MBart", _CONDITIONAL | _READERS),
        ("pegasus", "Pegasus", _CONDITIONAL),
        ("marian", "Marian", {"MTModel": ("vocabulary",), "Model": ()}),
    )
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Any of the four."""
    place, embedding_norm, positions = FORMS[values["model_type"]]
    names = ("layers", "attention_heads", "ffn_dim")
    width, vocab, *encoder = need(values, "d_model", "vocab_size", *(f"encoder_{name}" for name in names))
    decoder = need(values, *(f"decoder_{name}" for name in names))
    refuse(values, **dict(zip(("decoder_attention_heads", "decoder_ffn_dim"), encoder[1:])))
    refuse(values, share_encoder_decoder_embeddings=True)
    outputs = outputs_of(values, CLASSES[values["model_type"]])
    return ModelConfig(
        architecture="encoder-decoder",
        vocab_size=vocab,
        width=width,
        heads=encoder[1],
        mlp_width=encoder[2],
        encoder_layers=encoder[0],
        decoder_layers=decoder[0],
        start_id=start_of(values, *STARTS[values["model_type"]]),
        norm_place=place,
        norm_epsilon=1e-5,
        final_norm=place == "pre",
        embedding_norm=embedding_norm,
        activation=activation(values, "activation_function", "gelu"),
        positions=positions,
        position_offset=2 if positions == "learned" else 0,
        max_length=values.get("max_position_embeddings", 1024),
        scale_embeddings=values.get("scale_embedding", False),
        dropout=values.get("dropout", 0.1),
        attention_dropout=values.get("attention_dropout", 0.0),
        mlp_dropout=values.get("activation_dropout", 0.0),
        init="normal",
        init_std=values.get("init_std", 0.02),
        logits_bias=True,
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooler="tanh" if "sequence" in outputs else "",
        pooled="last",
    )


def write(config: ModelConfig, name: str) -> dict[str, Any]:
    """The inverse of `read`."""
    sides = {
        f"{side}_{key}": value
        for side in ("encoder", "decoder")
        for key, value in (
            ("layers", getattr(config, f"{side}_layers")),
            ("attention_heads", config.heads),
            ("ffn_dim", config.mlp_width),
        )
    }
    return {
        "architectures": [class_of(config.outputs, CLASSES[name])],
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.width,
        **sides,
        "num_hidden_layers": config.encoder_layers,
        "decoder_start_token_id": config.start_id,
        "activation_function": NAMES_OF_ACTIVATIONS[config.activation],
        "max_position_embeddings": config.max_length,
        "scale_embedding": config.scale_embeddings,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.mlp_dropout,
        "init_std": config.init_std,
        "tie_word_embeddings": True,
    }


def rows(config: ModelConfig) -> list[Row]:
    """Marian's names; all four have them."""
    found = [Row("tokens/table", "model.shared.weight")]
    if "vocabulary" in config.outputs:
        found.append(Row("logits/bias", "final_logits_bias", Layout("kernel", inward=0, transposed=False)))
    for side in ("encoder", "decoder"):
        whole = f"model.{side}"
        if config.positions == "learned":
            table = Row(f"{side}_embedder/positions/table", f"{whole}.embed_positions.weight")
            found.append(table)
        if config.embedding_norm:
            found += norm(f"{side}_embedder/norm", f"{whole}.layernorm_embedding")
        if config.final_norm:
            found += norm(f"{side}/norm", f"{whole}.layer_norm")
        ours, theirs = f"{side}/layer_{{i}}", f"{whole}.layers.{{i}}"
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        parts = [("self_attention", "self_attn"), ("cross_attention", "encoder_attn")][: 1 + (side == "decoder")]
        for part, module in parts:
            found += norm(f"{ours}/{part}_norm", f"{theirs}.{module}_layer_norm")
            found += attention(f"{ours}/{part}", f"{theirs}.{module}", names)
        found += norm(f"{ours}/feed_forward_norm", f"{theirs}.final_layer_norm")
        for a, b in (("in", "fc1"), ("out", "fc2")):
            found += linear(f"{ours}/feed_forward/{a}", f"{theirs}.{b}")
    return found + head_rows(config, HEADS[config.outputs])


def sinusoids_in_file(config: ModelConfig) -> dict[str, np.ndarray]:
    """Pegasus' folders hold the sinusoids of both stacks."""
    names = (f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder"))
    return dict.fromkeys(names, sinusoids(config.max_length, config.width))


SILENT = r"model\.(en|de)coder\.embed_tokens\.weight|lm_head\.weight"
SINUSOIDS = r"|model\.(en|de)coder\.embed_positions\.weight"
FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        rows,
        classes=CLASSES[name],
        prefix="model.",
        calls=Calls(last_goes_first=name == "mbart"),
        constants=sinusoids_in_file if name == "pegasus" else lambda config: {},
        silent=SILENT + (SINUSOIDS if positions == "sinusoidal" else ""),
    )
    for name, (_, _, positions) in FORMS.items()
)
