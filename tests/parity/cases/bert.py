"""BERT, RoBERTa, XLM-RoBERTa, ELECTRA, ALBERT and DistilBERT, with all their heads."""

from cases.case import (
    IDS,
    Case,
    base,
    chosen,
    classified,
    followed,
    labelled,
    masked_lm,
    measured,
    names,
    pair,
    replaced,
    spanned,
    tagged,
)

_BERT = {
    **IDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.0, "layer_norm_eps": 1e-2,
    "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
_DISTIL = {
    **IDS, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 40, "dropout": 0.0,
    "attention_dropout": 0.0, "qa_dropout": 0.0, "seq_classif_dropout": 0.0,
}  # fmt: skip
# Of heads, whose trunk the masked language models vouch for.
_SMALL = {"vocab_size": 31, "hidden_size": 8, "intermediate_size": 12, "max_position_embeddings": 20}
_SMALL_DISTIL = {"vocab_size": 31, "dim": 8, "hidden_dim": 12, "max_position_embeddings": 20, "n_layers": 1}
_ALBERT = {**_BERT, "embedding_size": 10, "classifier_dropout_prob": 0.0}


def _of(prefix, ending, arguments, **settings):
    common = {"DistilBert": _DISTIL, "Albert": _ALBERT}.get(prefix, _BERT)
    return Case(f"{prefix}{ending}", f"{prefix}Config", {**common, **settings}, arguments)


def _heads(short, prefix, **common):
    """Every head that all of them have."""
    common |= _SMALL_DISTIL if prefix == "DistilBert" else _SMALL | {"num_hidden_layers": 1}
    found = {
        "classes": ("ForSequenceClassification", classified, names(3)),
        "number": ("ForSequenceClassification", measured, names(1)),
        "tags": ("ForTokenClassification", tagged, names(5)),
        "spans": ("ForQuestionAnswering", spanned, {}),
        "choice": ("ForMultipleChoice", chosen, {}),
        "base": ("Model", base, {}),
    }
    return {f"{short}_{k}": _of(prefix, end, inputs, **{**common, **more}) for k, (end, inputs, more) in found.items()}


CASES = {
    "bert": _of("Bert", "ForMaskedLM", masked_lm, hidden_act="gelu", num_hidden_layers=3),
    "bert_relu": _of("Bert", "ForMaskedLM", masked_lm, num_hidden_layers=1, hidden_act="relu"),
    "bert_pretraining": _of("Bert", "ForPreTraining", pair("next_sentence_label")),
    "bert_next": _of("Bert", "ForNextSentencePrediction", followed, **_SMALL),
    "bert_labels": _of("Bert", "ForSequenceClassification", labelled, **_SMALL, **names(4)),
    **_heads("bert", "Bert", hidden_act="silu"),
    "roberta": _of("Roberta", "ForMaskedLM", masked_lm, pad_token_id=1, hidden_act="gelu_new"),
    **_heads("roberta", "Roberta", pad_token_id=1),
    "xlm_roberta": _of("XLMRoberta", "ForMaskedLM", masked_lm, pad_token_id=2, type_vocab_size=1),
    **_heads("xlm_roberta", "XLMRoberta", pad_token_id=1, type_vocab_size=1),
    "electra": _of("Electra", "ForMaskedLM", masked_lm, embedding_size=10, hidden_act="relu"),
    "electra_wide": _of("Electra", "ForMaskedLM", masked_lm, embedding_size=16),
    "electra_replaced": _of("Electra", "ForPreTraining", replaced, embedding_size=10, hidden_act="silu"),
    **_heads("electra", "Electra", embedding_size=10, hidden_act="relu"),
    "albert": _of("Albert", "ForMaskedLM", masked_lm, num_hidden_layers=3),
    "albert_groups": _of(
        "Albert", "ForMaskedLM", masked_lm, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2,
        embedding_size=16, hidden_act="gelu",
    ),
    "albert_pretraining": _of("Albert", "ForPreTraining", pair("sentence_order_label"), num_hidden_groups=2),
    **_heads("albert", "Albert"),
    "distilbert": _of("DistilBert", "ForMaskedLM", masked_lm, activation="relu"),
    "distilbert_sinusoidal": _of("DistilBert", "ForMaskedLM", masked_lm, sinusoidal_pos_embds=True),
    **_heads("distilbert", "DistilBert"),
}  # fmt: skip
