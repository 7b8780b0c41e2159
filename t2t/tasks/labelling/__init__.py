"""Text into what an output besides the vocabulary learns, and its logits into text: a class, a number, tags, a span."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.errors import DataError
from t2t.tasks.formats.labels import UNKNOWN
from t2t.tasks.labelling.classes import Classes, Numbers
from t2t.tasks.labelling.spans import Spans
from t2t.tasks.labelling.tags import Tags

__all__ = ["LABELLED", "Classes", "Labelling", "Numbers", "Spans", "Tags", "labelling_of", "read_labels"]

LABELLED = ("sequence", "tagging", "spans")  # the outputs of a model that are learned from a task's targets
MOST_LABELS = 1_000  # that are read off targets; more are no labels but text


class Labelling(Protocol):
    """How one output of a model reads texts and answers them."""

    def examples(self, text: Mapping[str, Any], vocabulary: Vocabulary, training: bool) -> list[dict[str, Any]]:
        """A text as one example, or several windows of it: inputs, types, targets, loss_weights.

        Args:
          text: of a task; without targets, what is to be predicted.
          training: whether targets that cannot be learned are an error, or the text is left out; else their weight is
            0.
        """
        ...

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        """The logits of a text's examples, each as long as the example is, into text like a task's targets."""
        ...


def labelling_of(output: str, labels: Sequence[str], *, length: int, stride: int) -> Labelling:
    """What an output does.

    Args:
      output: of LABELLED.
      labels: the names of its labels; of "sequence" none for a number.
      length: of a model's inputs.
      stride: see `DataConfig`.
    """
    if output == "spans":
        return Spans(length, stride)
    if output == "tagging":
        return Tags(tuple(labels), length, stride)
    return Classes(tuple(labels)) if labels else Numbers()


def read_labels(targets: Sequence[str], output: str) -> tuple[str, ...]:
    """The labels that occur in targets, sorted; hidden ones are none.

    Raises:
      DataError: so many that they are no labels.
    """
    found: set[str] = set()
    for i in range(len(targets)):
        target = targets[i]
        found.update(target.split(" ") if output == "tagging" else [target])
        if len(found) > MOST_LABELS:
            raise DataError(
                f"Expected labels as targets, at most {MOST_LABELS:,} different ones, found more, such as "
                f"{target[:40]!r}: name them in data.labels, or set model.labels to 1 for numbers."
            )
    return tuple(sorted(found - {"", UNKNOWN}))
