"""An answer as a span of a context: where it begins and where it ends (Devlin et al. 2019, sections 4.2 and 4.3)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.data.windows import windows
from t2t.errors import DataError

MOST_TOKENS = 30  # of an answer
LONGEST_QUESTION = 64  # tokens, and at most half of what there is room for


@dataclasses.dataclass(frozen=True)
class Spans:
    """Question and context as a pair; of a long context overlapping windows. Where a window does not hold the answer,
    both ends are its [CLS], or its first token.

    Attributes:
      length: of a window with its question and special tokens.
      stride: how many tokens of the context later the next window begins.
    """

    length: int
    stride: int

    def examples(self, text: Mapping[str, Any], vocabulary: Vocabulary, training: bool) -> list[dict[str, Any]]:
        question_text, context_text = question_and_context(text)
        span = _where(text, context_text)
        if training and span is None:
            return []
        room = self.length - vocabulary.frame.added(pair=True)
        question = vocabulary.tokens(question_text)[: min(LONGEST_QUESTION, room // 2)]
        room -= len(question)
        if room < 1:
            raise DataError(f"data.inputs_length {self.length} has no room for a context: make it greater.")
        context = vocabulary.tokens(context_text)
        found = []
        for window in windows(len(context), room, max(room - self.stride, 0)):
            joined = vocabulary.join(question, context[window])
            own = [i for i, of in enumerate(joined.texts) if of == 1]
            nowhere = joined.ids.index(vocabulary.cls_id) if vocabulary.cls_id in joined.ids else 0
            found.append(
                {
                    "inputs": np.asarray(joined.ids, np.int32),
                    "types": np.asarray(joined.types, np.int32),
                    "targets": np.asarray(_ends(joined.offsets, own, span) or (nowhere, nowhere), np.int32),
                    "loss_weights": np.full(2, span is not None, np.float32),
                    "offsets": joined.offsets,
                    "own": own,
                    "nowhere": nowhere,
                }
            )
        return found

    def answer(
        self, logits: Sequence[np.ndarray], examples: Sequence[Mapping[str, Any]], text: Mapping[str, Any]
    ) -> str:
        """The best span of all windows; "" where in each of them "nowhere" beats it."""
        _, context = question_and_context(text)
        best, answer, nowhere = -np.inf, "", np.inf
        for (starts, ends), example in zip(logits, examples):
            nowhere = min(nowhere, starts[example["nowhere"]] + ends[example["nowhere"]])
            if (own := example["own"]) and (found := best_span(starts[own], ends[own]))[0] > best:
                best, first, last = found
                answer = context[example["offsets"][own[first]][0] : example["offsets"][own[last]][1]]
        return answer.strip() if best >= nowhere else ""


def question_and_context(text: Mapping[str, Any]) -> tuple[str, str]:
    """The two fields, or the inputs where they are `question: … context: …`."""
    if "question" in text and "context" in text:
        return text["question"], text["context"]
    question, mark, context = text["inputs"].partition("context: ")
    if not mark:
        raise DataError(
            f"A span is found in a context, found the inputs {text['inputs'][:60]!r}: expected the fields `question` "
            "and `context`, or 'question: … context: …'."
        )
    return question.removeprefix("question: ").strip(), context


def best_span(starts: np.ndarray, ends: np.ndarray) -> tuple[float, int, int]:
    """The greatest sum of a start and an end not before it, no more than MOST_TOKENS long; and both."""
    best = (-np.inf, 0, 0)
    for more in range(min(MOST_TOKENS, len(starts))):
        sums = starts[: len(starts) - more] + ends[more:]
        first = int(np.argmax(sums))
        best = max(best, (float(sums[first]), first, first + more), key=lambda found: found[0])
    return best


def _where(text: Mapping[str, Any], context: str) -> tuple[int, int] | None:
    """The characters of the first answer in the context; (0, 0) where there is no answer; None where it is not known or
    not to be found."""
    answers = text.get("answers")
    if answers is None:
        return None
    if not len(answers):
        return (0, 0)
    answer, starts = answers[0], text.get("answer_starts") or [-1]
    start = int(starts[0])
    if start < 0 or context[start : start + len(answer)] != answer:
        start = context.find(answer)
    return (start, start + len(answer)) if start >= 0 and answer else None


def _ends(
    offsets: Sequence[tuple[int, int]], own: Sequence[int], span: tuple[int, int] | None
) -> tuple[int, int] | None:
    """The first and the last token of a span of characters, where both are among the tokens `own`."""
    if span is None or span[0] == span[1] or not own:
        return None
    if span[0] < offsets[own[0]][0] or span[1] > offsets[own[-1]][1]:
        return None
    held = [i for i in own if offsets[i][1] > span[0] and offsets[i][0] < span[1]]
    return (held[0], held[-1]) if held else None
