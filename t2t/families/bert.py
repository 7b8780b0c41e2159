"""BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020), DistilBERT (Sanh et al.
2019) and ELECTRA's generator (Clark et al. 2020): post-norm encoders with masked language models on them, whose folders
name the same parts in their own words.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need, refuse
from t2t.families.rows import Row, attention, linear, norm
from t2t.models import ModelConfig


@dataclasses.dataclass(frozen=True)
class Words:
    """What a family calls the parts; those of a layer after its prefix, which has the layer's number.

    Attributes:
      trunk: before all but the head.
      layer: before the parts of a layer.
      attention: queries, keys, values, out.
      norms: after attention and after the feed-forward.
      feed_forward: in and out.
      head: the dense layer, its norm, and the bias of the logits.
      class_name: of the masked language model.
    """

    trunk: str
    layer: str
    attention: tuple[str, ...]
    norms: tuple[str, str]
    feed_forward: tuple[str, str]
    head: tuple[str, str, str]
    class_name: str


def _berts(trunk: str, head: tuple[str, str, str], class_name: str) -> Words:
    names = ("self.query", "self.key", "self.value", "output.dense")
    return Words(
        trunk,
        f"{trunk}.encoder.layer.{{i}}",
        tuple(f"attention.{name}" for name in names),
        ("attention.output.LayerNorm", "output.LayerNorm"),
        ("intermediate.dense", "output.dense"),
        head,
        class_name,
    )


_BERT_HEAD = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias")
_ROBERTA_HEAD = ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
_ELECTRA_HEAD = ("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias")
WORDS = {
    "bert": _berts("bert", _BERT_HEAD, "BertForMaskedLM"),
    "roberta": _berts("roberta", _ROBERTA_HEAD, "RobertaForMaskedLM"),
    "xlm-roberta": _berts("roberta", _ROBERTA_HEAD, "XLMRobertaForMaskedLM"),
    "electra": _berts("electra", _ELECTRA_HEAD, "ElectraForMaskedLM"),
    "distilbert": Words(
        "distilbert",
        "distilbert.transformer.layer.{i}",
        ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        ("sa_layer_norm", "output_layer_norm"),
        ("ffn.lin1", "ffn.lin2"),
        ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        "DistilBertForMaskedLM",
    ),
}
# DistilBERT's words in config.json for those of the others.
DISTIL = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "activation": "hidden_act",
}


def _size(width: int, heads: int, layers: int, vocab: int, **changes: Any) -> ModelConfig:
    return ModelConfig(
        **{
            "architecture": "encoder",
            "vocab_size": vocab,
            "width": width,
            "heads": heads,
            "mlp_width": 4 * width,
            "encoder_layers": layers,
            "norm_place": "post",
            "norm_epsilon": 1e-12,
            "final_norm": False,
            "embedding_norm": True,
            "activation": "gelu",
            "positions": "learned",
            "max_length": 512,
            "token_types": 2,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "init": "normal",
            "logits_transform": "gelu",
            "logits_bias": True,
        }
        | changes
    )


_ROBERTA = {"norm_epsilon": 1e-5, "position_offset": 2, "token_types": 1}
SIZES = {
    "bert_base": _size(768, 12, 12, 30_522),
    "bert_large": _size(1024, 16, 24, 30_522),
    "roberta_base": _size(768, 12, 12, 50_265, **_ROBERTA),
    "roberta_large": _size(1024, 16, 24, 50_265, **_ROBERTA),
    "xlm_roberta_base": _size(768, 12, 12, 250_002, **_ROBERTA),
    "xlm_roberta_large": _size(1024, 16, 24, 250_002, **_ROBERTA),
    "distilbert_base": _size(768, 12, 6, 30_522, token_types=0),
    "electra_small_generator": _size(256, 4, 12, 30_522, embedding_width=128),
    "electra_base_generator": _size(256, 4, 12, 30_522, embedding_width=768),
    "electra_large_generator": _size(256, 4, 24, 30_522, embedding_width=1024),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Any of them."""
    name = values["model_type"]
    distil = name == "distilbert"
    if distil:
        values = {DISTIL.get(key, key): value for key, value in values.items()} | {"layer_norm_eps": 1e-12}
    vocab, width, layers, heads, mlp_width, rows = need(
        values,
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    )
    refuse(values, is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")
    roberta = name in ("roberta", "xlm-roberta")
    offset = values.get("pad_token_id", 1) + 1 if roberta else 0
    embedding = values.get("embedding_size", width)
    act = activation(values, "hidden_act", "gelu")
    return ModelConfig(
        architecture="encoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=layers,
        norm_place="post",
        norm_epsilon=values.get("layer_norm_eps", 1e-12),
        final_norm=False,
        embedding_norm=True,
        embedding_width=None if embedding == width else embedding,
        activation=act,
        positions="learned",
        position_offset=offset,
        max_length=rows - offset,
        token_types=0 if distil else values.get("type_vocab_size", 2),
        dropout=values.get("hidden_dropout_prob", 0.1),
        attention_dropout=values.get("attention_probs_dropout_prob", 0.1),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        logits_transform=act if name in ("bert", "distilbert") else "gelu",
        logits_bias=True,
    )


def write(config: ModelConfig, name: str) -> dict[str, Any]:
    """The inverse of `read`."""
    written = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "hidden_act": NAMES_OF_ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_length + config.position_offset,
        "initializer_range": config.init_std,
    }
    if name == "distilbert":
        words = {theirs: own for own, theirs in DISTIL.items()}
        return {
            "architectures": [WORDS[name].class_name],
            "sinusoidal_pos_embds": False,
            **{words.get(key, key): value for key, value in written.items()},
        }
    if name == "electra":
        written["embedding_size"] = config.table_width
    if config.position_offset:
        written["pad_token_id"] = config.position_offset - 1
    return {
        "architectures": [WORDS[name].class_name],
        **written,
        "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_epsilon,
    }


def rows(config: ModelConfig, name: str) -> list[Row]:
    """The embeddings, a layer, and the head."""
    words = WORDS[name]
    embeddings, ours = f"{words.trunk}.embeddings", "encoder_embedder"
    found = [Row("tokens/table", f"{embeddings}.word_embeddings.weight")]
    found.append(Row(f"{ours}/positions/table", f"{embeddings}.position_embeddings.weight"))
    if config.token_types:
        found.append(Row(f"{ours}/types", f"{embeddings}.token_type_embeddings.weight"))
    found += norm(f"{ours}/norm", f"{embeddings}.LayerNorm")
    if config.embedding_width is not None:
        found += linear(f"{ours}/projection", f"{words.trunk}.embeddings_project")
    ours, theirs = "encoder/layer_{i}", words.layer
    found += attention(f"{ours}/self_attention", theirs, words.attention)
    for part, theirs_norm in zip(("self_attention", "feed_forward"), words.norms):
        found += norm(f"{ours}/{part}_norm", f"{theirs}.{theirs_norm}")
    for side, part in zip(("in", "out"), words.feed_forward):
        found += linear(f"{ours}/feed_forward/{side}", f"{theirs}.{part}")
    transform, theirs_norm, bias = words.head
    found += linear("logits/transform", transform)
    found += norm("logits/norm", theirs_norm)
    return [*found, Row("logits/bias", bias)]


# Copies of what is tied, and position ids.
SILENT = r"(.*\.embeddings\.position_ids|cls\.predictions\.decoder\.(weight|bias)|lm_head\.decoder\.(weight|bias)|"
SILENT += r"vocab_projector\.weight|generator_lm_head\.weight)"
FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        lambda config, name=name: rows(config, name),
        prefix=f"{words.trunk}.",
        silent=SILENT,
    )
    for name, words in WORDS.items()
)
