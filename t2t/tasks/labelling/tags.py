"""A tag for each word: words separated by spaces, and as many tags. The first piece of a word stands for it (Devlin et
al. 2019, section 5.3)."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import EncodedText, Vocabulary
from t2t.errors import DataError

OUTSIDE = "O"  # of a word that no piece stands for, or that was cut off


@dataclasses.dataclass(frozen=True)
class Tags:
    """One of `labels` for each word."""

    labels: tuple[str, ...]

    def examples(self, text: Mapping[str, Any], vocabulary: Vocabulary, training: bool) -> list[dict[str, Any]]:
        words = [match.span() for match in re.finditer("[^ ]+", text["inputs"])]
        tags = (
            [None] * len(words) if text.get("targets") is None else [tag for tag in text["targets"].split(" ") if tag]
        )
        if len(tags) != len(words):
            raise DataError(
                f"Expected a tag for each word, found {len(words)} words and {len(tags)} tags: {text['inputs'][:60]!r} "
                f"and {text['targets'][:60]!r}. Both are separated by spaces."
            )
        if training and (strange := sorted(set(tags) - set(self.labels))):
            raise DataError(f"Expected tags among {', '.join(self.labels)}, found {strange[0]!r}.")
        found = vocabulary.encode_for_model(text["inputs"])
        firsts, targets, weights = first_pieces(found, words), np.zeros(len(found), np.int32), np.zeros(len(found))
        for tag, at in zip(reversed(tags), reversed(firsts)):  # where words share a piece it is the first one's
            if at is not None and tag in self.labels:
                targets[at], weights[at] = self.labels.index(tag), 1.0
        return [
            {
                "inputs": np.asarray(found.ids, np.int32),
                "types": np.asarray(found.types, np.int32),
                "targets": targets,
                "loss_weights": weights.astype(np.float32),
                "firsts": firsts,
            }
        ]

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        (logits,), (example,) = logits, examples
        kept = (
            len(logits) if len(logits) == len(example["inputs"]) else len(logits) - 1
        )  # the last of a cut one ends it
        best = np.argmax(logits, axis=-1)
        outside = OUTSIDE if OUTSIDE in self.labels else self.labels[0]
        return " ".join(outside if at is None or at >= kept else self.labels[int(best[at])] for at in example["firsts"])


def first_pieces(found: EncodedText, words: Sequence[tuple[int, int]]) -> list[int | None]:
    """The first token that has a character of each word; None where none has."""
    firsts: list[int | None] = [None] * len(words)
    word = 0
    for i, ((start, end), of) in enumerate(zip(found.offsets, found.texts)):
        if of != 0 or end <= start:
            continue
        while word < len(words) and words[word][1] <= start:
            word += 1
        for w in range(word, len(words)):
            if words[w][0] >= end:
                break
            if firsts[w] is None:
                firsts[w] = i
    return firsts
