"""Longformer and BigBird, with all their heads."""

import numpy as np

from cases.case import (
    IDS,
    Case,
    base,
    classified,
    masked_lm,
    measured,
    names,
    padded,
    spanned,
    tagged,
)

SEPARATOR = 2
_BERT = {
    **IDS, "sep_token_id": SEPARATOR, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 50, "type_vocab_size": 3, "hidden_dropout_prob": 0.0,
    "layer_norm_eps": 1e-2, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
_LONGFORMER = {**_BERT, "pad_token_id": 1, "attention_window": 4}
_BIG_BIRD = {**_BERT, "block_size": 2, "num_random_blocks": 1, "classifier_dropout": 0.0}  # dense up to 14


def _marked(arguments, *places):
    """With global tokens, at the same places in all rows: some are padding in some."""

    def made(generator, settings):
        given = arguments(generator, settings)
        marked = np.zeros_like(given["input_ids"])
        marked[..., list(places)] = 1
        return given | {"global_attention_mask": marked}

    return made


def _of(length, arguments, **more):
    """Rows of a length."""
    return lambda generator, settings: arguments(generator, settings, length=length, **more)


def _separated(arguments, count=3):
    """With separators in every row, the first two side by side after a question."""

    def made(generator, settings):
        given = arguments(generator, settings)
        for ids, mask in zip(*(given[k].reshape(-1, given[k].shape[-1]) for k in ("input_ids", "attention_mask"))):
            real = np.flatnonzero(mask)
            ids[[real[2], real[3], real[-1]][:count]] = SEPARATOR
        return given

    return made


def _chosen(generator, settings):
    """Three choices for each of two questions."""
    given = padded(generator, settings, rows=6, length=13)
    return {name: value.reshape(2, 3, -1) for name, value in given.items()} | {"labels": np.array([2, 0])}


def _pair(generator, settings):
    given = masked_lm(generator, settings, length=17, left=False)
    return given | {"next_sentence_label": np.array([0, 1, 1])}


def _longformer(ending, arguments, **settings):
    return Case(f"Longformer{ending}", "LongformerConfig", {**_LONGFORMER, **settings}, arguments)


def _big_bird(ending, arguments, **settings):
    return Case(f"BigBird{ending}", "BigBirdConfig", {**_BIG_BIRD, **settings}, arguments)


_HALVES = {"num_hidden_layers": 3, "attention_window": [8, 4, 4]}
_TURNS = {"num_hidden_layers": 4, "attention_window": [4, 8, 4, 8]}
CASES = {
    "longformer": _longformer("ForMaskedLM", masked_lm),
    "longformer_marked": _longformer("ForMaskedLM", _marked(_of(21, masked_lm), 0, 3, 18), **_HALVES),
    "longformer_turns": _longformer("ForMaskedLM", _marked(_of(18, masked_lm), 1, 17), **_TURNS, hidden_act="relu"),
    "longformer_all": _longformer("Model", _marked(_of(12, base, left=True), *range(12))),
    "longformer_base": _longformer("Model", _of(7, base), attention_window=12),
    "longformer_classes": _longformer("ForSequenceClassification", _of(14, classified), **names(3)),
    "longformer_number": _longformer("ForSequenceClassification", _marked(measured, 0, 2), **names(1)),
    "longformer_tags": _longformer("ForTokenClassification", _marked(_of(19, tagged), 0), **names(5)),
    "longformer_spans": _longformer("ForQuestionAnswering", _separated(_of(15, spanned))),
    "longformer_choice": _longformer("ForMultipleChoice", _separated(_chosen)),
    "big_bird": _big_bird("ForMaskedLM", _of(22, masked_lm)),
    "big_bird_uneven": _big_bird("ForMaskedLM", _of(33, masked_lm), block_size=3, num_random_blocks=2),
    "big_bird_rescaled": _big_bird(
        "ForMaskedLM",
        _of(20, masked_lm),
        rescale_embeddings=True,
        use_bias=False,
        hidden_act="relu",
        num_hidden_layers=1,
    ),
    "big_bird_short": _big_bird("ForMaskedLM", _of(14, masked_lm)),
    "big_bird_full": _big_bird("ForMaskedLM", _of(19, masked_lm), attention_type="original_full"),
    "big_bird_left": _big_bird("Model", _of(33, base, left=True), num_random_blocks=3),
    "big_bird_pretraining": _big_bird("ForPreTraining", _pair),
    "big_bird_base": _big_bird("Model", _of(15, base)),
    "big_bird_classes": _big_bird("ForSequenceClassification", _of(16, classified), **names(3), hidden_act="gelu"),
    "big_bird_tags": _big_bird("ForTokenClassification", _of(21, tagged), **names(5)),
    "big_bird_spans": _big_bird("ForQuestionAnswering", _separated(_of(23, spanned), count=1)),
    "big_bird_spans_short": _big_bird("ForQuestionAnswering", spanned),
    "big_bird_choice": _big_bird("ForMultipleChoice", _chosen, block_size=1),
}
