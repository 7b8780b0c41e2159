"""The part of a text that answers a question, or that nothing in it does (Rajpurkar et al. 2016, 2018)."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import Tokens
from t2t.data.windows import windows
from t2t.errors import ConfigError, DataError
from t2t.pipelines.pipeline import Pipeline
from t2t.pipelines.spans import best_spans, probabilities

LONGEST = 384  # of a row, where nothing else is said


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions:
    """How answers are searched for; lengths are in tokens."""

    top_k: int = 1  # so many answers; of more than one a list
    handle_impossible_answer: bool = False  # whether "" may be the answer
    max_answer_len: int = 15
    max_seq_len: int | None = None  # of question and context together; None: what the model reads, at most 384
    doc_stride: int | None = None  # that two windows over a long context share; None: 128, at most half a row
    max_question_len: int = 64  # more is cut
    align_to_words: bool = True  # whether answers begin and end with words

    def __post_init__(self):
        for name in ("top_k", "max_answer_len", "max_question_len"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")


class QuestionAnswering(Pipeline):
    """question=…, context=… → {"score", "start", "end", "answer"}, the answer being context[start:end].

    A context that is longer than a row is read in windows that overlap, and the best answer of all of them counts. A
    model that knows questions without an answer (SQuAD 2) tells them by its first token: the answer is "" where in
    every window that is likelier than all answers.
    """

    Options = QuestionAnsweringOptions
    output = "spans"
    of_tokens = True

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any) -> Any:
        """The answer to one question, or a list for a list of them.

        Args:
          inputs: {"question": …, "context": …}, or a list of these; or else
          question, context: texts, or lists of texts; questions may share one context.
        """
        return super().__call__(_examples(question, context) if inputs is None else inputs, **options)

    def run(self, inputs: list[Mapping[str, str]], options: QuestionAnsweringOptions) -> list[Any]:
        texts = [tuple(map(self.tokens, _checked(example))) for example in inputs]
        texts = [(question[: options.max_question_len], context) for question, context in texts]
        parts = [self._windows(*both, options) for both in texts]
        rows = [
            self.checked(self.vocabulary.join(question, context[window]))
            for (question, context), found in zip(texts, parts)
            for window in found
        ]
        cls_id = self.vocabulary.cls_id

        def read(found, i):
            of_context, ids = np.array(rows[i].texts) == 1, np.array(rows[i].ids)
            nothing = ids == (-1 if cls_id is None else cls_id)
            logits = np.stack([found["start_logits"], found["end_logits"]], axis=-1)
            chances = probabilities(logits, of_context | nothing)
            none = np.prod(chances[:, nothing.argmax()]) if nothing.any() else 0.0
            return chances[:, of_context], float(none)

        found, results = iter(self.forward(rows, read)), []
        for example, (_, context), in_context in zip(inputs, texts, parts):
            of_windows = [next(found) for _ in in_context]
            answers = _merged(of_windows, in_context, example["context"], context, options)
            if options.handle_impossible_answer or not answers:
                none = min(score for _, score in of_windows)
                answers.append({"score": none, "start": 0, "end": 0, "answer": ""})
            answers = sorted(answers, key=lambda answer: -answer["score"])[: options.top_k]
            results.append(answers[0] if options.top_k == 1 else answers)
        return results

    def _windows(self, question: Tokens, context: Tokens, options: QuestionAnsweringOptions) -> list[slice]:
        longest = options.max_seq_len or min(self.limit or LONGEST, LONGEST)
        stride = min(longest // 2, 128) if options.doc_stride is None else options.doc_stride
        room = longest - len(question) - self.vocabulary.frame.added(pair=True)
        if len(context) <= room:
            return [slice(0, len(context))]
        if options.doc_stride is None:
            stride = min(stride, max(room - 1, 0) // 2)
        if room < 1 or stride >= room:
            raise DataError(
                f"question-answering: a question of {len(question)} tokens leaves room for {max(room, 0)} of a context "
                f"of {len(context)} in rows of max_seq_len {longest}, and windows share doc_stride {stride}: make "
                "max_seq_len greater, or max_question_len or doc_stride less."
            )
        return windows(len(context), room, stride)


def _merged(
    found: Sequence[tuple[np.ndarray, float]],
    parts: Sequence[slice],
    text: str,
    context: Tokens,
    options: QuestionAnsweringOptions,
) -> list[dict[str, Any]]:
    """The best answers of all windows, each once, with its best score."""
    best: dict[tuple[int, int], float] = {}
    for (chances, _), window in zip(found, parts):
        answers: dict[tuple[int, int], float] = {}
        for score, first, last in _spans(chances, options.max_answer_len):
            place = characters(text, context, window.start + first, window.start + last, options.align_to_words)
            answers.setdefault(place, score)
            if len(answers) == options.top_k:
                break
        best |= {place: max(score, best.get(place, 0.0)) for place, score in answers.items()}
    return [{"score": score, "start": a, "end": b, "answer": text[a:b]} for (a, b), score in best.items()]


def _spans(chances: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    return best_spans(*chances, longest) if chances.shape[1] else iter(())


def characters(text: str, tokens: Tokens, first: int, last: int, align: bool) -> tuple[int, int]:
    """The characters from a token to another, without white space around them.

    Args:
      align: from the beginning of the word of the first token to the end of that of the last.
    """
    words = tokens.words
    if align and words:
        while first > 0 and words[first] is not None and words[first - 1] == words[first]:
            first -= 1
        while last + 1 < len(words) and words[last] is not None and words[last + 1] == words[last]:
            last += 1
    start, end = tokens.offsets[first][0], tokens.offsets[last][1]
    inner = text[start:end].strip()
    start += text[start:end].find(inner)
    return start, start + len(inner)


def _examples(question: Any, context: Any) -> Any:
    if not isinstance(question, (list, tuple)):
        return {"question": question, "context": context}
    contexts = [context] * len(question) if isinstance(context, str) else context
    if len(contexts) != len(question):
        raise DataError(
            f"question-answering: expected as many contexts as questions, found {len(question)} questions and "
            f"{len(contexts)} contexts."
        )
    return [{"question": q, "context": c} for q, c in zip(question, contexts)]


def _checked(example: Any) -> tuple[str, str]:
    if not isinstance(example, Mapping) or not {"question", "context"} <= example.keys():
        raise DataError("question-answering: expected question=… and context=…, or dicts with these keys.")
    for name in ("question", "context"):
        if not isinstance(example[name], str) or not example[name].strip():
            raise DataError(f"question-answering: expected a text as {name}, found {example[name]!r}.")
    return example["question"], example["context"]
