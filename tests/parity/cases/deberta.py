"""DeBERTa and DeBERTa-v2 and v3, with all their heads."""

from cases.case import IDS, Case, base, chosen, classified, labelled, masked_lm, measured, names, spanned, tagged

_DEBERTA = {
    **IDS, "vocab_size": 31, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 12, "max_position_embeddings": 20, "type_vocab_size": 0, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "layer_norm_eps": 1e-2, "relative_attention": True,
    "pos_att_type": "p2c|c2p", "position_biased_input": False,
}  # fmt: skip
_V3 = {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["c2p", "p2c"]}
# Of heads, whose trunk the masked language models vouch for.
_SMALL = {"num_hidden_layers": 1, "cls_dropout": 0.0, "pooler_dropout": 0.0}


def _of(prefix, ending, arguments, **settings):
    return Case(f"{prefix}{ending}", f"{prefix}Config", {**_DEBERTA, **settings}, arguments)


def _first(**settings):
    return _of("Deberta", "ForMaskedLM", masked_lm, **settings)


def _second(**settings):
    return _of("DebertaV2", "ForMaskedLM", masked_lm, **settings)


def _heads(short, prefix, **common):
    found = {
        "classes": ("ForSequenceClassification", classified, names(3)),
        "number": ("ForSequenceClassification", measured, names(1) | {"pooler_hidden_act": "tanh"}),
        "tags": ("ForTokenClassification", tagged, names(5)),
        "spans": ("ForQuestionAnswering", spanned, {}),
        "base": ("Model", base, {}),
    }
    return {
        f"{short}_{k}": _of(prefix, end, inputs, **{**_SMALL, **common, **more})
        for k, (end, inputs, more) in found.items()
    }


CASES = {
    "deberta": _first(num_hidden_layers=3),
    "deberta_span": _first(max_relative_positions=6, hidden_act="gelu_new"),  # shorter than the rows
    "deberta_c2p": _first(pos_att_type=["c2p"], position_biased_input=True, type_vocab_size=3, hidden_act="relu"),
    "deberta_p2c": _first(pos_att_type=["p2c"], max_relative_positions=7, legacy=False),
    "deberta_talking": _first(talking_head=True, embedding_size=6, max_relative_positions=9),
    "deberta_absolute": _first(relative_attention=False, pos_att_type=None, position_biased_input=True),
    **_heads("deberta", "Deberta"),
    "deberta_v2": _second(num_hidden_layers=3, position_biased_input=True, type_vocab_size=2),
    "deberta_v2_span": _second(max_relative_positions=4, norm_rel_ebd="layer_norm", hidden_act="silu"),
    "deberta_v2_c2p": _second(pos_att_type="c2p", position_buckets=6, max_relative_positions=9, legacy=False),
    "deberta_v2_p2c": _second(pos_att_type=["p2c"], **{k: v for k, v in _V3.items() if k != "pos_att_type"}),
    "deberta_v2_buckets": _second(position_buckets=4, max_relative_positions=8, embedding_size=6),
    "deberta_v2_convolution": _second(**_V3, conv_kernel_size=3, conv_act="gelu", num_hidden_layers=3),
    "deberta_v2_wide_convolution": _second(**_V3, conv_kernel_size=5, conv_groups=2),
    "deberta_v2_absolute": _second(relative_attention=False, pos_att_type=None, position_biased_input=True),
    "deberta_v3": _second(**_V3, num_hidden_layers=3, legacy=False),
    **_heads("deberta_v3", "DebertaV2", **_V3),
    "deberta_v3_labels": _of("DebertaV2", "ForSequenceClassification", labelled, **_SMALL, **_V3, **names(4)),
    "deberta_v3_choice": _of("DebertaV2", "ForMultipleChoice", chosen, **_SMALL, **_V3),
}  # fmt: skip
