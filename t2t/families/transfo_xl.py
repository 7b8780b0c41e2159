"""Transformer-XL (Dai et al. 2019): relative positions, a memory, and a vocabulary in clusters.

Its memory begins with zeros that are seen. In the softmax the tables of words are those of the embeddings, and so are
the projections of all clusters but the first.
"""

from collections.abc import Collection
from typing import Any

from t2t.attention import TransformerXL
from t2t.families.family import Calls, Family, Values, need, refuse
from t2t.families.heads import Head, class_of, head_rows, labels_in, outputs_of
from t2t.families.rows import LINEAR, LINEAR_OUT, Layout, Row, linear, norm
from t2t.layers.adaptive import Adaptive
from t2t.models import ModelConfig

CLASSES = {
    "TransfoXLLMHeadModel": ("vocabulary",),
    "TransfoXLForSequenceClassification": ("sequence",),
    "TransfoXLModel": (),
}
SIZES = {
    "transfo_xl_wt103": ModelConfig(
        architecture="decoder",
        vocab_size=267_735,
        adaptive=Adaptive(cutoffs=(20_000, 40_000, 200_000), divisor=4, tied_projections=(False, True, True, True)),
        width=1024,
        heads=16,
        mlp_width=4096,
        decoder_layers=18,
        attention=TransformerXL(memory=1600, clamp=1000, same_length=True, zeros=True),
        attention_bias=(),
        positions="none",
        norm_place="post",
        norm_epsilon=1e-5,
        final_norm=False,
        final_dropout=True,
        scale_embeddings=True,
        dropout=0.1,
        mlp_dropout=0.1,
        init="normal",
        labels_bias=False,
        pooled="last",
    )
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """What transformers 4 calls transfo-xl."""
    names = ("vocab_size", "d_model", "n_head", "d_head", "d_inner", "n_layer")
    vocab, width, heads, head_width, mlp_width, layers = need(values, *names)
    refuse(values, attn_type=0)
    embedding, memory = values.get("d_embed", width), values.get("mem_len", 1600)
    clamp = values.get("clamp_len", 1000)
    outputs = outputs_of(values, CLASSES)
    return ModelConfig(
        architecture="decoder",
        vocab_size=vocab,
        adaptive=_clusters(values, width, embedding),
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=mlp_width,
        decoder_layers=layers,
        start_id=values.get("decoder_start_token_id"),
        embedding_width=None if embedding == width else embedding,
        attention=TransformerXL(
            memory=memory,
            tied=not values.get("untie_r", True),
            clamp=clamp if clamp > 0 else None,
            same_length=values.get("same_length", True),
            zeros=memory > 0,
        ),
        attention_bias=(),
        positions="none",
        norm_place="pre" if values.get("pre_lnorm", False) else "post",
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
        final_norm=False,
        final_dropout=True,
        scale_embeddings=True,
        tie_logits=values.get("tie_word_embeddings", True),
        dropout=values.get("dropout", 0.1),
        mlp_dropout=values.get("dropout", 0.1),
        attention_dropout=values.get("dropatt", 0.0),
        init="normal",
        init_std=values.get("init_std", 0.02),
        outputs=outputs,
        labels=labels_in(values, outputs),
        labels_bias=False,
        pooled="last",
    )


def _clusters(values: Values, width: int, embedding: int) -> Adaptive:
    cutoffs, divisor = tuple(values.get("cutoffs", (20_000, 40_000, 200_000))), values.get("div_val", 4)
    share = values.get("proj_share_all_but_first", True)
    ties = tuple(values.get("tie_projs") or (False, *(share for _ in cutoffs)))
    projected = divisor > 1 or embedding != width
    return Adaptive(cutoffs=cutoffs, divisor=divisor, tied_projections=ties if projected and any(ties) else ())


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    adaptive, attention = config.adaptive or Adaptive(), config.attention
    return {
        "architectures": [class_of(config.outputs, CLASSES)],
        "vocab_size": config.vocab_size,
        "cutoffs": list(adaptive.cutoffs),
        "div_val": adaptive.divisor,
        "tie_projs": [adaptive.ties(i) for i in range(len(adaptive.cutoffs) + 1)],
        "tie_word_embeddings": config.tie_logits,
        "d_model": config.width,
        "d_embed": config.table_width,
        "n_head": config.heads,
        "d_head": config.head_width,
        "d_inner": config.mlp_width,
        "n_layer": config.decoder_layers,
        "decoder_start_token_id": config.start_id,
        "pre_lnorm": config.norm_place == "pre",
        "mem_len": attention.memory,
        "clamp_len": attention.clamp or -1,
        "same_length": attention.same_length,
        "untie_r": not attention.tied,
        "attn_type": 0,
        "dropout": config.dropout,
        "dropatt": config.attention_dropout,
        "init_std": config.init_std,
        "layer_norm_epsilon": config.norm_epsilon,
    }


def rows(config: ModelConfig) -> list[Row]:
    """The clusters, and the layers, whose queries, keys and values stand below each other."""
    adaptive = config.adaptive
    tables = len(adaptive.tables(config.vocab_size, config.table_width))
    projected = adaptive.divisor > 1 or config.embedding_width is not None
    found = []
    for i in range(tables):
        found.append(Row(f"tokens/table_{i}", f"transformer.word_emb.emb_layers.{i}.weight"))
        if projected:
            found.append(Row(f"tokens/projection_{i}", f"transformer.word_emb.emb_projs.{i}"))
    ours, theirs = "decoder/layer_{i}", "transformer.layers.{i}"
    for i, role in enumerate(("query", "key", "value")):
        third = Layout("kernel", part=(i, 3))
        found.append(Row(f"{ours}/self_attention/{role}/kernel", f"{theirs}.dec_attn.qkv_net.weight", third))
    found += linear(f"{ours}/self_attention/out", f"{theirs}.dec_attn.o_net", bias=False, layout=LINEAR_OUT)
    found.append(Row(f"{ours}/self_attention/distance", f"{theirs}.dec_attn.r_net.weight", LINEAR))
    for name, bias in (("u", "r_w_bias"), ("v", "r_r_bias")):
        if config.attention.tied:
            found.append(Row(f"decoder/shared_self_attention_0/{name}", f"transformer.{bias}"))
        else:
            found.append(Row(f"{ours}/self_attention/{name}", f"{theirs}.dec_attn.{bias}"))
    found += norm(f"{ours}/self_attention_norm", f"{theirs}.dec_attn.layer_norm")
    found += linear(f"{ours}/feed_forward/in", f"{theirs}.pos_ff.CoreNet.0")
    found += linear(f"{ours}/feed_forward/out", f"{theirs}.pos_ff.CoreNet.3")
    found += norm(f"{ours}/feed_forward_norm", f"{theirs}.pos_ff.layer_norm")
    found += head_rows(config, Head("score"))
    return found + (_softmax(config, tables, projected) if "vocabulary" in config.outputs else [])


def _softmax(config: ModelConfig, tables: int, projected: bool) -> list[Row]:
    adaptive, found = config.adaptive, []
    for i in range(tables):
        found.append(Row(f"logits/bias_{i}", f"crit.out_layers.{i}.bias"))
        if not config.tie_logits:
            found.append(Row(f"logits/table_{i}", f"crit.out_layers.{i}.weight"))
    for i in range(len(adaptive.cutoffs) + 1):
        if projected and not adaptive.ties(i):
            found.append(Row(f"logits/projection_{i}", f"crit.out_projs.{i}"))
    if adaptive.cutoffs:
        found.append(Row("logits/clusters", "crit.cluster_weight"))
        found.append(Row("logits/clusters_bias", "crit.cluster_bias"))
    return found


# Copies of what is tied, and the rates of the sinusoids.
SILENT = r"(transformer\.)?(pos_emb\.inv_freq|layers\.\d+\.dec_attn\.r_[wr]_bias)"
SILENT += r"|crit\.(out_layers\.\d+\.weight|out_projs\.\d+)"
FAMILIES = (
    Family(
        "transfo-xl",
        read,
        write,
        rows,
        CLASSES,
        prefix="transformer.",
        silent=SILENT,
        calls=Calls(output_names={"vocabulary": "prediction_scores"}, keeps_memory=True),
    ),
)
