"""A tag for each word: words separated by spaces, and as many tags. The first piece of a word stands for it (Devlin et
al. 2019, section 5.3)."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import EncodedText, Vocabulary
from t2t.data.windows import most_context, windows
from t2t.errors import DataError

OUTSIDE = "O"  # of a word that no piece stands for


@dataclasses.dataclass(frozen=True)
class Tags:
    """One of `labels` for each word; a long text is read in overlapping windows, and each word tagged in the one that
    shows most of what is around it.

    Attributes:
      length: of a window with its special tokens.
      stride: how many tokens later the next window begins.
    """

    labels: tuple[str, ...]
    length: int
    stride: int

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
        tokens = vocabulary.tokens(text["inputs"])
        firsts, found = first_pieces(tokens.offsets, words), self._windows(len(tokens), vocabulary)
        chosen, examples = most_context(found, len(tokens)), []
        for i, window in enumerate(found):
            joined = vocabulary.join(tokens[window])
            own = [at for at, of in enumerate(joined.texts) if of == 0]
            here = [None if at is None or chosen[at] != i else own[at - window.start] for at in firsts]
            examples.append(self._example(joined, here, tags))
        return examples

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        outside = OUTSIDE if OUTSIDE in self.labels else self.labels[0]
        found = [outside] * len(examples[0]["firsts"])
        for scores, example in zip(logits, examples):
            for word, at in enumerate(example["firsts"]):
                if at is not None:
                    found[word] = self.labels[int(np.argmax(scores[at]))]
        return " ".join(found)

    def _windows(self, tokens: int, vocabulary: Vocabulary) -> list[slice]:
        room = self.length - vocabulary.frame.added(pair=False)
        if room < 1:
            raise DataError(f"data.inputs_length {self.length} has no room for a text: make it greater.")
        return windows(tokens, room, max(room - self.stride, 0))

    def _example(self, window: EncodedText, firsts: Sequence[int | None], tags: Sequence[str | None]) -> dict[str, Any]:
        targets, weights = np.zeros(len(window), np.int32), np.zeros(len(window), np.float32)
        for tag, at in zip(reversed(tags), reversed(firsts)):  # where words share a piece it is the first one's
            if at is not None and tag in self.labels:
                targets[at], weights[at] = self.labels.index(tag), 1.0
        return {
            "inputs": np.asarray(window.ids, np.int32),
            "types": np.asarray(window.types, np.int32),
            "targets": targets,
            "loss_weights": weights,
            "firsts": firsts,
        }


def first_pieces(offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> list[int | None]:
    """The first token that has a character of each word; None where none has. Both are spans of characters."""
    firsts: list[int | None] = [None] * len(words)
    word = 0
    for i, (start, end) in enumerate(offsets):
        if end <= start:
            continue
        while word < len(words) and words[word][1] <= start:
            word += 1
        for w in range(word, len(words)):
            if words[w][0] >= end:
                break
            if firsts[w] is None:
                firsts[w] = i
    return firsts
