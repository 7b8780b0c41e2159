"""XLNet (Yang et al. 2019): an encoder that learns to predict tokens in any order, with two streams and a memory."""

from collections.abc import Collection
from typing import Any

from t2t.attention import XLNet
from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need, refuse
from t2t.families.heads import Head, class_of, head_rows, labels_in, outputs_of
from t2t.families.rows import LAST_FIRST, LINEAR, ROW_OF_ONE, Row, linear, norm
from t2t.models import ModelConfig

CLASSES = {
    "XLNetLMHeadModel": ("vocabulary",),
    "XLNetForSequenceClassification": ("sequence",),
    "XLNetForMultipleChoice": ("choice",),
    "XLNetForTokenClassification": ("tagging",),
    "XLNetForQuestionAnsweringSimple": ("spans",),
    "XLNetModel": (),
}
HEADS = {
    "sequence": Head("logits_proj", pooler="sequence_summary.summary"),
    "choice": Head("logits_proj", pooler="sequence_summary.summary"),
    "tagging": Head("classifier"),
    "spans": Head("qa_outputs"),
}
SUMMARIES = {"last": "last", "cls_index": "last", "first": "first"}  # no index is given with cls_index


def _size(width: int, heads: int, layers: int) -> ModelConfig:
    return ModelConfig(
        architecture="encoder",
        vocab_size=32_000,
        width=width,
        heads=heads,
        mlp_width=4 * width,
        encoder_layers=layers,
        attention=XLNet(memory=0),
        attention_bias=(),
        query_stream=True,
        positions="none",
        norm_place="post",
        norm_epsilon=1e-12,
        final_norm=False,
        final_dropout=True,
        activation="gelu",
        logits_bias=True,
        pooled="last",
        dropout=0.1,
        attention_dropout=0.1,
        mlp_dropout=0.1,
        init="normal",
    )


SIZES = {"xlnet_base": _size(768, 12, 12), "xlnet_large": _size(1024, 16, 24)}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """XLNet, its lengths without end where config.json names none."""
    vocab, width, layers, heads, mlp_width = need(values, "vocab_size", "d_model", "n_layer", "n_head", "d_inner")
    refuse(values, bi_data=False, summary_use_proj=True)
    clamp, one_way, dropout = (
        values.get("clamp_len", -1),
        values.get("attn_type", "bi") == "uni",
        values.get("dropout", 0.1),
    )
    summary = values.get("summary_type", "last")
    if summary not in SUMMARIES:
        refuse(values, summary_type="last")
    outputs = outputs_of(values, CLASSES)
    return ModelConfig(
        architecture="encoder",
        vocab_size=vocab,
        width=width,
        heads=heads,
        head_width=values.get("d_head") or width // heads,
        mlp_width=mlp_width,
        encoder_layers=layers,
        attention=XLNet(
            memory=values.get("mem_len") or 0,
            reuse=values.get("reuse_len") or None,
            clamp=clamp if clamp > 0 else None,
            one_way=one_way,
            same_length=one_way and values.get("same_length", False),
        ),
        attention_bias=(),
        query_stream=True,
        positions="none",
        norm_place="post",
        norm_epsilon=values.get("layer_norm_eps", 1e-12),
        final_norm=False,
        final_dropout=True,
        activation=activation(values, "ff_activation", "gelu"),
        tie_logits=values.get("tie_word_embeddings", True),
        logits_bias=True,
        dropout=dropout,
        attention_dropout=dropout,
        mlp_dropout=dropout,
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooled=SUMMARIES[summary],
        pooler=_pooler(values) if {"sequence", "choice"} & set(outputs) else "",
    )


def _pooler(values: Values) -> str:
    return (
        "tanh" if values.get("summary_activation", "tanh") == "tanh" else activation(values, "summary_activation", "")
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    attention = config.attention
    return {
        "architectures": [class_of(config.outputs, CLASSES)],
        "vocab_size": config.vocab_size,
        "d_model": config.width,
        "n_layer": config.encoder_layers,
        "n_head": config.heads,
        "d_head": config.head_width,
        "d_inner": config.mlp_width,
        "ff_activation": NAMES_OF_ACTIVATIONS[config.activation],
        "attn_type": "uni" if attention.one_way else "bi",
        "same_length": attention.same_length,
        "mem_len": attention.memory or None,
        "reuse_len": attention.reuse,
        "clamp_len": attention.clamp or -1,
        "bi_data": False,
        "dropout": config.dropout,
        "layer_norm_eps": config.norm_epsilon,
        "initializer_range": config.init_std,
        "summary_type": config.pooled,
        "summary_use_proj": True,
        "summary_activation": {"": "tanh", "tanh": "tanh"}.get(config.pooler) or NAMES_OF_ACTIVATIONS[config.pooler],
        "tie_word_embeddings": config.tie_logits,
    }


def rows(config: ModelConfig) -> list[Row]:
    """Projections have their heads' axes there too; that of what comes out has the model's width in front."""
    found = [Row("tokens/table", "transformer.word_embedding.weight")]
    found.append(Row("encoder_embedder/query", "transformer.mask_emb", ROW_OF_ONE))
    ours, theirs = "encoder/layer_{i}/self_attention", "transformer.layer.{i}.rel_attn"
    found += [Row(f"{ours}/{role}/kernel", f"{theirs}.{role[0]}") for role in ("query", "key", "value")]
    found.append(Row(f"{ours}/out/kernel", f"{theirs}.o", LAST_FIRST))
    names = {"distance": "r", "u": "r_w_bias", "v": "r_r_bias", "w": "r_s_bias", "types": "seg_embed"}
    found += [Row(f"{ours}/{own}", f"{theirs}.{name}") for own, name in names.items()]
    ours, theirs = "encoder/layer_{i}", "transformer.layer.{i}"
    found += norm(f"{ours}/self_attention_norm", f"{theirs}.rel_attn.layer_norm")
    found += linear(f"{ours}/feed_forward/in", f"{theirs}.ff.layer_1")
    found += linear(f"{ours}/feed_forward/out", f"{theirs}.ff.layer_2")
    found += norm(f"{ours}/feed_forward_norm", f"{theirs}.ff.layer_norm")
    if "vocabulary" not in config.outputs:
        return found + (head_rows(config, HEADS[config.outputs[0]]) if config.outputs else [])
    if not config.tie_logits:
        found.append(Row("logits/projection/kernel", "lm_loss.weight", LINEAR))
    return [*found, Row("logits/bias", "lm_loss.bias")]


FAMILIES = (
    Family(
        "xlnet",
        read,
        write,
        rows,
        CLASSES,
        prefix="transformer.",
        silent=r"lm_loss\.weight",
        calls=Calls(
            arguments={"perm_mask": "encoder_mask", "target_mapping": "encoder_targets"},
            keeps_memory=True,
            last_ends_row=True,
        ),
    ),
)
