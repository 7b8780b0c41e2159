"""Text into tokens to be learned: a task's inputs and targets as they are, or chunks of plain text under an
objective."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.errors import ConfigError, DataError, unknown
from t2t.objectives import causal_lm, masked_lm, prefix_lm
from t2t.objectives.span_corruption import lengths as span_lengths
from t2t.objectives.span_corruption import span_corruption

Kind = Literal["causal_lm", "prefix_lm", "span_corruption", "masked_lm"]


def tokenise(text: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Inputs and targets as ids, each with its end of sequence; no inputs at all stay none."""
    inputs = vocabulary.sequence(text["inputs"]) if text["inputs"] else []
    return {
        "inputs": np.asarray(inputs, np.int32),
        "targets": np.asarray(vocabulary.sequence(text["targets"], target=True), np.int32),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """How plain text is learned from.

    Attributes:
      kind: causal_lm, prefix_lm or span_corruption; of encoders masked_lm, whose mask is the
        vocabulary's, or the first sentinel where it has none.
      documents: True where every example is a document of its own, of which a random chunk is taken when it is long
        (anew in every epoch); False where examples are lines of one long text, which is cut into chunks end to end.
      noise_density: of span corruption and masked_lm.
      mean_span: of span corruption.
    """

    kind: Kind
    documents: bool = False
    noise_density: float = 0.15
    mean_span: float = 3.0

    def __post_init__(self):
        if self.kind not in get_args(Kind):
            raise ConfigError(unknown("objective", self.kind, get_args(Kind)))
        if not 0.0 < self.noise_density < 1.0:
            raise ConfigError(f"noise_density: expected more than 0 and less than 1, found {self.noise_density}.")
        if self.mean_span < 1.0:
            raise ConfigError(f"mean_span: expected at least 1, found {self.mean_span}.")

    def raw_length(self, inputs_length: int, targets_length: int) -> int:
        """How many tokens of text make one example of these lengths.

        Raises:
          DataError: the targets of span corruption would be longer than targets_length.
        """
        if self.kind == "causal_lm":
            return targets_length - 1
        if self.kind == "prefix_lm":
            return min(inputs_length, targets_length) - 1
        if self.kind == "masked_lm":
            return inputs_length
        raw, targets, _ = span_lengths(inputs_length, self.noise_density, self.mean_span)
        if targets > targets_length:
            raise DataError(
                f"Span corruption of data.inputs_length {inputs_length} makes targets of {targets} tokens, more than "
                f"data.targets_length {targets_length}: set data.targets_length to {targets}."
            )
        return raw

    def apply(
        self, tokens: np.ndarray, generator: np.random.Generator, vocabulary: Vocabulary, length: int
    ) -> dict[str, np.ndarray]:
        """Tokens → inputs and targets, with their ends of sequence (of a causal or masked LM only where a document
        ends), and of a masked LM `loss_weights`. Of more than `length` tokens a random chunk of so many is taken."""
        if len(tokens) > length:
            start = int(generator.integers(0, len(tokens) - length + 1))
            tokens = tokens[start : start + length]
        if self.kind == "masked_lm":
            mask, words = vocabulary.masking
            inputs, weights = masked_lm(tokens, generator, mask, words, self.noise_density)
            return {"inputs": inputs, "targets": np.asarray(tokens, np.int32), "loss_weights": weights}
        if self.kind != "causal_lm" and len(tokens) and tokens[-1] == vocabulary.eos_id:
            tokens = tokens[:-1]  # a document's end is neither given nor masked: both sides end with one of their own
        if self.kind == "causal_lm" or len(tokens) < 2:
            inputs, targets = causal_lm(tokens)
            return {"inputs": inputs, "targets": targets}
        if self.kind == "prefix_lm":
            inputs, targets = prefix_lm(tokens, generator)
        else:
            inputs, targets = span_corruption(
                tokens, generator, vocabulary.sentinel, self.noise_density, self.mean_span
            )
        return {
            "inputs": np.append(inputs, vocabulary.eos_id).astype(np.int32),
            "targets": np.append(targets, vocabulary.eos_id).astype(np.int32),
        }


class Chunks(Sequence[np.ndarray]):
    """Text as chunks of tokens.

    Args:
      texts: lines of one long text, or documents.
      length: of a chunk.
      documents: whether each text is a document, tokenised when it is asked for and given whole with its end of
        sequence; else all are tokenised at once, joined by line breaks, and cut end to end.
      stretches: where it is given, one long text is cut into so many of about equal length instead.
    """

    def __init__(self, texts: Sequence[str], vocabulary: Vocabulary, length: int, documents: bool, stretches: int = 0):
        self.texts, self.vocabulary, self.length, self.documents = texts, vocabulary, length, documents
        if not documents:
            tokens = [np.asarray(vocabulary.encode(texts[i] + "\n"), np.int32) for i in range(len(texts))]
            self.tokens = np.concatenate(tokens) if tokens else np.zeros(0, np.int32)
            if stretches:
                self.length = max(-(-len(self.tokens) // stretches), 1)

    def __len__(self) -> int:
        return len(self.texts) if self.documents else -(-len(self.tokens) // self.length)

    def __getitem__(self, i: int) -> np.ndarray:
        if not 0 <= i < len(self):
            raise IndexError(i)
        if not self.documents:
            return self.tokens[i * self.length : (i + 1) * self.length]
        return np.asarray([*self.vocabulary.encode(self.texts[i]), self.vocabulary.eos_id], np.int32)
