"""CANINE: lengths that are no multiples of rate and stride, blocks that are padding alone, one molecule."""

import numpy as np

from cases import case
from cases.case import Case, names

_CANINE = {
    "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "num_hash_functions": 3, "num_hash_buckets": 17, "type_vocab_size": 3, "max_position_embeddings": 17,
    "downsampling_rate": 3, "local_transformer_stride": 4, "layer_norm_eps": 1e-2, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def of_characters(arguments):
    """The arguments of another family, with code points for tokens, and the third of three rows padded on the left."""

    def made(generator, settings):
        given = arguments(generator, {"vocab_size": 0x110000, "pad_token_id": 0, **settings})
        if len(given["input_ids"]) == 3:
            given["attention_mask"][2, :4] = given["input_ids"][2, :4] = 0
        return given

    return made


def _case(class_name, arguments, **settings):
    return Case(class_name, "CanineConfig", {**_CANINE, **settings}, of_characters(arguments))


def short(generator, settings):
    """Rows as long as two molecules and a token, some of them but a token long."""
    given = {name: value[:, :7] for name, value in case.classified(generator, settings).items() if name != "labels"}
    given["attention_mask"] = np.array([[1] * 7, [1] + [0] * 6, [1] * 4 + [0] * 3])
    return given | {"labels": np.array([0, 1, 1])}


CASES = {
    "canine": _case("CanineModel", case.base, num_hidden_layers=3),
    "canine_classes": _case(
        "CanineForSequenceClassification", case.classified, **names(3), downsampling_rate=2, upsampling_kernel_size=5,
        local_transformer_stride=3, hidden_act="relu",
    ),
    "canine_number": _case(
        "CanineForSequenceClassification", case.measured, **names(1), downsampling_rate=6, upsampling_kernel_size=2,
        local_transformer_stride=2, hidden_act="gelu_new",
    ),
    "canine_short": _case("CanineForSequenceClassification", short, **names(2), local_transformer_stride=2),
    "canine_tags": _case(
        "CanineForTokenClassification", case.tagged, **names(4), downsampling_rate=4, local_transformer_stride=128
    ),
    "canine_spans": _case("CanineForQuestionAnswering", case.spanned, downsampling_rate=1, upsampling_kernel_size=1),
    "canine_choice": _case("CanineForMultipleChoice", case.chosen, local_transformer_stride=1),
}  # fmt: skip
