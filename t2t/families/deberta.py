"""DeBERTa (He et al. 2021) and DeBERTa-v2 and v3 (He et al. 2023): post-norm encoders with disentangled attention.

| | DeBERTa | v2, v3 |
|---|---|---|
| queries, keys and values | one matrix, head by head; no bias of keys | three, with biases |
| projections of places | of each layer | those of queries and keys, where `share_att_key` |
| distances | a row each, up to a span | rows for logarithms of them, where `position_buckets` |
| more | talking heads | a convolution after the first layer, a norm of the table |
"""

from collections.abc import Collection
from typing import Any

from t2t.attention import Dense, Disentangled
from t2t.errors import ConfigError
from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need, refuse
from t2t.families.heads import Head, class_of, classes, head_rows, labels_in, outputs_of
from t2t.families.rows import FLAT, LINEAR, LINEAR_OUT, Layout, Row, attention, linear, norm
from t2t.models import ModelConfig

FIRST, SECOND = "deberta", "deberta-v2"


def _size(width: int, heads: int, layers: int, vocab: int, own: Disentangled, **changes: Any) -> ModelConfig:
    return ModelConfig(
        **{
            "architecture": "encoder",
            "vocab_size": vocab,
            "width": width,
            "heads": heads,
            "mlp_width": 4 * width,
            "encoder_layers": layers,
            "attention": own,
            "norm_place": "post",
            "norm_epsilon": 1e-7,
            "final_norm": False,
            "embedding_norm": True,
            "embedding_mask": True,
            "activation": "gelu",
            "positions": "none",
            "max_length": 512,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "init": "normal",
            "logits_transform": "gelu",
            "logits_bias": True,
        }
        | changes
    )


_OF_V1 = Disentangled(span=512, blind="mean")
_OF_V3 = Disentangled(span=512, buckets=256, shared_projections=True, table_norm=True, blind="mean")
_V1 = {"attention_bias": ("query", "value", "out")}
_XL = {"convolution": 3, "convolution_activation": "gelu"}
SIZES = {
    "deberta_base": _size(768, 12, 12, 50_265, _OF_V1, **_V1),
    "deberta_large": _size(1024, 16, 24, 50_265, _OF_V1, **_V1),
    "deberta_xlarge": _size(1024, 16, 48, 50_265, _OF_V1, **_V1),
    "deberta_v2_xlarge": _size(1536, 24, 24, 128_100, _OF_V3, **_XL),
    "deberta_v2_xxlarge": _size(1536, 24, 48, 128_100, _OF_V3, **_XL),
    "deberta_v3_xsmall": _size(384, 6, 12, 128_100, _OF_V3),
    "deberta_v3_small": _size(768, 12, 6, 128_100, _OF_V3),
    "deberta_v3_base": _size(768, 12, 12, 128_100, _OF_V3),
    "deberta_v3_large": _size(1024, 16, 24, 128_100, _OF_V3),
    "mdeberta_v3_base": _size(768, 12, 12, 251_000, _OF_V3),
}

_POOLED = Head("classifier", "pooler.dense")
HEADS = {
    ("vocabulary",): Head(),
    ("sequence",): _POOLED,
    ("choice",): _POOLED,
    ("tagging",): Head("classifier"),
    ("spans",): Head("qa_outputs"),
    (): Head(),
}
CLASSES = {FIRST: classes("Deberta", without=("ForMultipleChoice",)), SECOND: classes("DebertaV2")}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Either."""
    name = values["model_type"]
    vocab, width, layers, heads, mlp_width, length = need(
        values,
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    )
    refuse(values, pooler_hidden_size=width, tie_word_embeddings=True)
    second = name == SECOND
    if second:
        refuse(values, attention_head_size=width // heads)
    outputs, act = outputs_of(values, CLASSES[name]), activation(values, "hidden_act", "gelu")
    embedding = values.get("embedding_size", width)
    return ModelConfig(
        architecture="encoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=layers,
        attention=_attention(values, length, second),
        attention_bias=None if second else ("query", "value", "out"),
        norm_place="post",
        norm_epsilon=values.get("layer_norm_eps", 1e-7),
        final_norm=False,
        embedding_norm=True,
        embedding_mask=True,
        embedding_width=None if embedding == width else embedding,
        embedding_norm_last=embedding != width,
        embedding_projection_bias=embedding == width,
        activation=act,
        positions="learned" if values.get("position_biased_input", True) else "none",
        max_length=length,
        token_types=values.get("type_vocab_size", 0),
        convolution=max(values.get("conv_kernel_size", 0), 0) if second else 0,
        convolution_groups=values.get("conv_groups", 1) if second else 1,
        convolution_activation=activation(values, "conv_act", "tanh") if second else "tanh",
        dropout=values.get("hidden_dropout_prob", 0.1),
        attention_dropout=values.get("attention_probs_dropout_prob", 0.1),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        logits_transform=act,
        logits_bias=True,
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooler=activation(values, "pooler_hidden_act", "gelu") if HEADS[outputs].pooler else "",
    )


def _attention(values: Values, length: int, second: bool) -> Dense | Disentangled:
    kinds = values.get("pos_att_type") or ()
    kinds = [kind.strip() for kind in kinds.lower().split("|")] if isinstance(kinds, str) else list(kinds)
    relative = values.get("relative_attention", False)
    if set(kinds) - {"c2p", "p2c"} or len(set(kinds)) < len(kinds) or bool(kinds) != relative:
        raise ConfigError(
            f"config.json: pos_att_type {kinds} with relative_attention {relative} is not supported: expected 'c2p', "
            "'p2c' or both where it is true, and none where it is not."
        )
    if not relative:
        refuse(values, talking_head=False)
        return Dense()
    span, shared = values.get("max_relative_positions", -1), second and values.get("share_att_key", False)
    return Disentangled(
        span=length if span < 1 else span,
        buckets=max(values.get("position_buckets", -1), 0) if second else 0,
        content_to_position="c2p" in kinds,
        position_to_content="p2c" in kinds,
        shared_projections=shared,
        position_key_bias=second and not shared and "c2p" in kinds,
        table_norm=second and "layer_norm" in values.get("norm_rel_ebd", "none").lower(),
        norm_epsilon=values.get("layer_norm_eps", 1e-7),
        talking_heads=not second and values.get("talking_head", False),
        blind="mean",
    )


def write(config: ModelConfig, name: str) -> dict[str, Any]:
    """The inverse of `read`."""
    own, second = config.attention, name == SECOND
    written = {
        "architectures": [class_of(config.outputs, CLASSES[name])],
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "embedding_size": config.table_width,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "hidden_act": NAMES_OF_ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_length,
        "position_biased_input": config.positions == "learned",
        "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_epsilon,
        "initializer_range": config.init_std,
        "pooler_hidden_size": config.width,
        "relative_attention": isinstance(own, Disentangled),
    }
    if config.pooler:
        written["pooler_hidden_act"] = NAMES_OF_ACTIVATIONS[config.pooler]
    if isinstance(own, Disentangled):
        kinds = {"c2p": own.content_to_position, "p2c": own.position_to_content}
        written |= {"pos_att_type": [k for k, there in kinds.items() if there], "max_relative_positions": own.span}
        if second:
            written |= {"position_buckets": own.buckets or -1, "share_att_key": own.shared_projections}
            written["norm_rel_ebd"] = "layer_norm" if own.table_norm else "none"
        else:
            written["talking_head"] = own.talking_heads
    if second:
        written |= {"conv_kernel_size": config.convolution, "conv_groups": config.convolution_groups}
        written["conv_act"] = NAMES_OF_ACTIVATIONS[config.convolution_activation]
    return written


def rows(config: ModelConfig, name: str, predictions: str) -> list[Row]:
    """The embeddings, the table of places, a layer, and the heads.

    Args:
      predictions: the names of the masked language model's, see `PREDICTIONS`.
    """
    found = [Row("tokens/table", "deberta.embeddings.word_embeddings.weight")]
    ours, theirs = "encoder_embedder", "deberta.embeddings"
    if config.positions == "learned":
        found.append(Row(f"{ours}/positions/table", f"{theirs}.position_embeddings.weight"))
    if config.token_types:
        found.append(Row(f"{ours}/types", f"{theirs}.token_type_embeddings.weight"))
    if config.embedding_width is not None:
        found += linear(f"{ours}/projection", f"{theirs}.embed_proj", bias=False)
    found += norm(f"{ours}/norm", f"{theirs}.LayerNorm")
    ours, theirs = "encoder/shared_self_attention_0/table", "deberta.encoder"
    if isinstance(config.attention, Disentangled):
        found.append(Row(ours, f"{theirs}.rel_embeddings.weight"))
        if config.attention.table_norm:
            found += [Row(f"{ours}_{a}", f"{theirs}.LayerNorm.{b}") for a, b in (("scale", "weight"), ("bias", "bias"))]
    if config.convolution:
        found.append(Row("encoder/convolution/kernel", f"{theirs}.conv.conv.weight", Layout("convolution")))
        found.append(Row("encoder/convolution/bias", f"{theirs}.conv.conv.bias"))
        found += norm("encoder/convolution/norm", f"{theirs}.conv.LayerNorm")
    ours, theirs = "encoder/layer_{i}", "deberta.encoder.layer.{i}"
    found += _attention_rows(config, f"{ours}/self_attention", f"{theirs}.attention", name)
    found += norm(f"{ours}/self_attention_norm", f"{theirs}.attention.output.LayerNorm")
    found += linear(f"{ours}/feed_forward/in", f"{theirs}.intermediate.dense")
    found += linear(f"{ours}/feed_forward/out", f"{theirs}.output.dense")
    found += norm(f"{ours}/feed_forward_norm", f"{theirs}.output.LayerNorm")
    if "vocabulary" in config.outputs:
        transform, theirs_norm, bias = PREDICTIONS[predictions]
        found += [*linear("logits/transform", transform), *norm("logits/norm", theirs_norm), Row("logits/bias", bias)]
    return found + head_rows(config, HEADS[config.outputs])


def _attention_rows(config: ModelConfig, ours: str, theirs: str, name: str) -> list[Row]:
    own, second = config.attention, name == SECOND
    if second:
        names = ("self.query_proj", "self.key_proj", "self.value_proj", "output.dense")
        found = attention(ours, theirs, names)
    else:
        found = [
            Row(f"{ours}/{role}/kernel", f"{theirs}.self.in_proj.weight", Layout("heads", part=(i, 3)))
            for i, role in enumerate(("query", "key", "value"))
        ]
        found += [Row(f"{ours}/{role}/bias", f"{theirs}.self.{role[0]}_bias", FLAT) for role in ("query", "value")]
        found += linear(f"{ours}/out", f"{theirs}.output.dense", layout=LINEAR_OUT)
    if not isinstance(own, Disentangled):
        return found
    key, query = ("pos_key_proj", "pos_query_proj") if second else ("pos_proj", "pos_q_proj")
    if own.content_to_position and not own.shared_projections:
        found.append(Row(f"{ours}/position_key", f"{theirs}.self.{key}.weight", LINEAR))
    if own.position_key_bias:
        found.append(Row(f"{ours}/position_key_bias", f"{theirs}.self.{key}.bias", FLAT))
    if own.position_to_content and not own.shared_projections:
        found.append(Row(f"{ours}/position_query", f"{theirs}.self.{query}.weight", LINEAR))
        found.append(Row(f"{ours}/position_query_bias", f"{theirs}.self.{query}.bias", FLAT))
    if own.talking_heads:
        for part in ("logits", "weights"):
            found.append(Row(f"{ours}/mix_{part}", f"{theirs}.self.head_{part}_proj.weight", LINEAR))
    return found


_LEGACY, _NEW = "cls.predictions", "lm_predictions.lm_head"
PREDICTIONS = {  # the dense layer, its norm, and the bias of the logits
    _LEGACY: (f"{_LEGACY}.transform.dense", f"{_LEGACY}.transform.LayerNorm", f"{_LEGACY}.bias"),
    _NEW: (f"{_NEW}.dense", f"{_NEW}.LayerNorm", f"{_NEW}.bias"),
}


def _named_by(family: Family, values: Values, tensors: Collection[str]) -> Family:
    """`legacy` says how the masked language model's tensors are named; the published folders do not say it."""
    legacy = values.get("legacy", not any(name.startswith(_NEW) for name in tensors))
    return family if legacy else _FAMILIES[family.name, _NEW]


# Copies of what is tied, position ids, what the pre-training of the published models left behind, and the norm of a
# table that is not there.
SILENT = r"(deberta\.)?embeddings\.(position_ids|position_embeddings\.weight)|cls\.predictions\.decoder\.(weight|bias)"
SILENT += r"|mask_predictions\..*|(deberta\.)?encoder\.LayerNorm\.(weight|bias)"
_FAMILIES = {
    (name, predictions): Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        lambda config, name=name, predictions=predictions: rows(config, name, predictions),
        classes=CLASSES[name],
        prefix="deberta.",
        silent=SILENT,
        calls=Calls(padding_sees=False, problem="probabilities"),
        named_by=_named_by,
    )
    for name in (FIRST, SECOND)
    for predictions in PREDICTIONS
}
FAMILIES = tuple(_FAMILIES[name, _LEGACY] for name in (FIRST, SECOND))
