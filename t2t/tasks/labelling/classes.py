"""A text, or a pair of texts, answered with one of several labels or with a number."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.errors import DataError
from t2t.tasks.formats.labels import UNKNOWN


@dataclasses.dataclass(frozen=True)
class Classes:
    """One of `labels`, by its index; a hidden one has no weight."""

    labels: tuple[str, ...]

    def examples(self, text: Mapping[str, Any], vocabulary: Vocabulary, training: bool) -> list[dict[str, Any]]:
        label, known = text.get("targets"), text.get("targets") in self.labels
        if training and not known and label != UNKNOWN:
            raise DataError(f"Expected one of the labels {', '.join(self.labels)}, found the target {label!r}.")
        return [_example(text, vocabulary, np.int32(self.labels.index(label) if known else 0), known)]

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        return self.labels[int(np.argmax(logits[0]))]


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A number, learned by its squared error."""

    def examples(self, text: Mapping[str, Any], vocabulary: Vocabulary, training: bool) -> list[dict[str, Any]]:
        try:
            number, known = np.float32(text.get("targets")), text.get("targets") is not None
        except ValueError:
            if training:
                raise DataError(
                    f"A model of one label learns numbers, found the target {text['targets']!r}: set model.labels to "
                    "the number of labels, or to 0 to have them counted."
                ) from None
            number, known = np.float32(0), False
        return [_example(text, vocabulary, number if known else np.float32(0), known)]

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        return f"{float(logits[0][0]):.6g}"


def _example(text: Mapping[str, Any], vocabulary: Vocabulary, target: Any, known: bool) -> dict[str, Any]:
    """Of `texts` where a task gives one or two, else of `inputs`."""
    found = vocabulary.encode_for_model(*(text["texts"] if "texts" in text else [text["inputs"]]))
    return {
        "inputs": np.asarray(found.ids, np.int32),
        "types": np.asarray(found.types, np.int32),
        "targets": target,
        "loss_weights": np.float32(known),
    }
