"""BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020), DistilBERT (Sanh et al.
2019), ELECTRA (Clark et al. 2020) and ALBERT (Lan et al. 2020): post-norm encoders, whose folders name the same parts
in their own words.
"""

from collections.abc import Collection
from typing import Any

from t2t.errors import ConfigError
from t2t.families.bert_names import NAMES
from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need, refuse
from t2t.families.heads import class_of, head_rows, labels_in, outputs_of, pooler_of
from t2t.families.rows import Row, attention, linear, norm
from t2t.models import ModelConfig

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


def size(width: int, heads: int, layers: int, vocab: int, **changes: Any) -> ModelConfig:
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
_ALBERT = {
    "embedding_width": 128, "activation": "gelu_tanh", "logits_transform": "gelu_tanh", "dropout": 0.0,
    "attention_dropout": 0.0,
}  # fmt: skip
SIZES = {
    "bert_base": size(768, 12, 12, 30_522),
    "bert_large": size(1024, 16, 24, 30_522),
    "roberta_base": size(768, 12, 12, 50_265, **_ROBERTA),
    "roberta_large": size(1024, 16, 24, 50_265, **_ROBERTA),
    "xlm_roberta_base": size(768, 12, 12, 250_002, **_ROBERTA),
    "xlm_roberta_large": size(1024, 16, 24, 250_002, **_ROBERTA),
    "distilbert_base": size(768, 12, 6, 30_522, token_types=0),
    "electra_small": size(256, 4, 12, 30_522, embedding_width=128, outputs=("replaced",)),
    "electra_base": size(768, 12, 12, 30_522, outputs=("replaced",)),
    "electra_large": size(1024, 16, 24, 30_522, outputs=("replaced",)),
    "electra_small_generator": size(256, 4, 12, 30_522, embedding_width=128),
    "electra_base_generator": size(256, 4, 12, 30_522, embedding_width=768),
    "electra_large_generator": size(256, 4, 24, 30_522, embedding_width=1024),
    "albert_base": size(768, 12, 12, 30_000, **_ALBERT, sharing=(0,) * 12),
    "albert_large": size(1024, 16, 24, 30_000, **_ALBERT, sharing=(0,) * 24),
    "albert_xlarge": size(2048, 16, 24, 30_000, **_ALBERT, sharing=(0,) * 24),
    "albert_xxlarge": size(4096, 64, 12, 30_000, **_ALBERT, sharing=(0,) * 12),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Any of them."""
    name = values["model_type"]
    names, distil, albert = NAMES[name], name == "distilbert", name == "albert"
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
    offset = values.get("pad_token_id", 1) + 1 if name in FROM_IDS else 0
    embedding = values.get("embedding_size", 128 if albert else width)
    act = activation(values, "hidden_act", "gelu_new" if albert else "gelu")
    sharing = shared_layers(layers, *need(values, "num_hidden_groups", "inner_group_num")) if albert else ()
    outputs = outputs_of(values, names.classes)
    rate = 0.0 if albert else 0.1
    return ModelConfig(
        architecture="encoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=len(sharing) or layers,
        sharing=sharing,
        norm_place="post",
        norm_epsilon=values.get("layer_norm_eps", 1e-12),
        final_norm=False,
        embedding_norm=True,
        embedding_width=None if embedding == width and not albert else embedding,
        activation=act,
        positions="learned",
        position_offset=offset,
        max_length=rows - offset,
        token_types=0 if distil else values.get("type_vocab_size", 2),
        dropout=values.get("hidden_dropout_prob", rate),
        attention_dropout=values.get("attention_probs_dropout_prob", rate),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        logits_transform=act if name in ("bert", "distilbert", "albert", "big_bird") else "gelu",
        logits_bias=True,
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooler=pooler_of(names.heads[outputs], tensors, f"{names.trunk}."),
    )


def shared_layers(layers: int, groups: int, inner: int) -> tuple[int, ...]:
    """`ModelConfig.sharing` of ALBERT: every layer runs the `inner` layers of its group; groups may differ in size."""
    return tuple(int(i / (layers / groups)) * inner + j for i in range(layers) for j in range(inner))


def _groups(sharing: tuple[int, ...]) -> tuple[int, int, int]:
    """The layers, groups and inner layers of ALBERT that give this `sharing`."""
    sets = max(sharing, default=-1) + 1
    for inner in range(1, sets + 1):
        if sets % inner == 0 and len(sharing) % inner == 0:
            found = len(sharing) // inner, sets // inner, inner
            if shared_layers(*found) == sharing:
                return found
    raise ConfigError(f"sharing {sharing}: ALBERT's layers are in groups of about one size, one after the other.")


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
    architectures = [class_of(config.outputs, NAMES[name].classes)]
    if name == "distilbert":
        words = {theirs: own for own, theirs in DISTIL.items()}
        return {
            "architectures": architectures,
            "sinusoidal_pos_embds": False,
            **{words.get(key, key): value for key, value in written.items()},
        }
    if name == "albert":
        keys = ("num_hidden_layers", "num_hidden_groups", "inner_group_num")
        written |= dict(zip(keys, _groups(config.sharing)))
    if name in ("electra", "albert"):
        written["embedding_size"] = config.table_width
    if config.position_offset:
        written["pad_token_id"] = config.position_offset - 1
    return {
        "architectures": architectures,
        **written,
        "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_epsilon,
    }


def rows(config: ModelConfig, name: str) -> list[Row]:
    """The embeddings, a layer, and the heads."""
    names = NAMES[name]
    embeddings, ours = f"{names.trunk}.embeddings", "encoder_embedder"
    found = [Row("tokens/table", f"{embeddings}.word_embeddings.weight")]
    found.append(Row(f"{ours}/positions/table", f"{embeddings}.position_embeddings.weight"))
    if config.token_types:
        found.append(Row(f"{ours}/types", f"{embeddings}.token_type_embeddings.weight"))
    found += norm(f"{ours}/norm", f"{embeddings}.LayerNorm")
    if config.embedding_width is not None:
        found += linear(f"{ours}/projection", f"{names.trunk}.{names.projection}")
    for number, theirs in _layers(config, names.layer):
        ours = f"encoder/layer_{number}"
        found += attention(f"{ours}/self_attention", theirs, names.attention, bias=config.attention_bias or True)
        for part, theirs_norm in zip(("self_attention", "feed_forward"), names.norms):
            found += norm(f"{ours}/{part}_norm", f"{theirs}.{theirs_norm}")
        for side, part in zip(("in", "out"), names.feed_forward):
            found += linear(f"{ours}/feed_forward/{side}", f"{theirs}.{part}")
    if "vocabulary" in config.outputs:
        transform, theirs_norm, bias = names.predictions
        found += linear("logits/transform", transform)
        found += norm("logits/norm", theirs_norm)
        found.append(Row("logits/bias", bias))
    return found + head_rows(config, names.heads[config.outputs])


def _layers(config: ModelConfig, theirs: str) -> list[tuple[Any, str]]:
    """The numbers of our layers and the names of theirs: one with the number left open, or ALBERT's sets."""
    if "{group}" not in theirs:
        return [("{i}", theirs)]
    inner = _groups(config.sharing)[2]
    return [(i, theirs.format(group=i // inner, inner=i % inner)) for i in range(config.stacks["encoder"].sets)]


FROM_IDS = ("roberta", "xlm-roberta", "longformer")  # positions count the ids that are no padding
ELSEWHERE = ("longformer", "big_bird")  # whose configs say more: in `long`
# Copies of what is tied, and position ids.
SILENT = r"(.*\.embeddings\.position_ids|cls\.predictions\.decoder\.(weight|bias)|lm_head\.decoder\.(weight|bias)|"
SILENT += r"predictions\.decoder\.(weight|bias)|vocab_projector\.weight|generator_lm_head\.weight)"
FAMILIES = tuple(
    Family(
        name,
        read,
        lambda config, name=name: write(config, name),
        lambda config, name=name: rows(config, name),
        classes=names.classes,
        prefix=f"{names.trunk}.",
        silent=SILENT,
        calls=Calls(
            positions_from_ids=name in FROM_IDS, output_names={"pair": "sop_logits"} if name == "albert" else {}
        ),
    )
    for name, names in NAMES.items()
    if name not in ELSEWHERE
)
