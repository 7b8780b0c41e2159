"""A task: where examples come from, how they become text, how predictions are judged. A model and a run come later.

A task of your own, whole:

    from t2t import tasks
    from t2t.data import FileSource

    def reverse(example):
        return {"inputs": "reverse: " + example["text"], "targets": example["text"][::-1]}

    tasks.register(tasks.Task(
        name="reverse",
        source=FileSource({"train": "words.txt", "validation": "held_out.txt"}, columns=("text",)),
        preprocessors=(reverse,),
        metrics=("exact_match",)))
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.sources import Expanded, Mapped, Source
from t2t.data.stream import Part
from t2t.data.vocabulary import Vocabulary
from t2t.errors import DataError
from t2t.tasks.labelling import Labelling
from t2t.tasks.metrics import METRICS, Metric
from t2t.tasks.objective import Chunks, Objective, tokenise

Example = Mapping[str, Any]
Preprocessor = Callable[..., Example | None]


def identity(text: str, example: Example, is_target: bool) -> Any:
    """The postprocessor of tasks whose metrics compare text."""
    return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to learn and how well it was learned.

    Attributes:
      name: by which it is registered and its results are filed.
      source: gives raw examples by split.
      preprocessors: functions example → example, one after the other, that end in `inputs` and `targets` as text; or →
        None to leave the example out. One with a second required parameter gets a NumPy Generator that depends on seed,
        example and epoch.
      expand: a function raw example → several, before the preprocessors.
      metrics: names of `tasks.metrics.METRICS`, or functions (targets, predictions) → {name: value}.
      postprocess: (text, example, is_target) → what the metrics compare, for targets and predictions alike.
      objective: for tasks that learn from plain text in `targets` (language models, span corruption).
      labels: that targets are one of, where there are no others: a model with the output "sequence" has as many.
      vocabulary: of a run that names none: see `DataConfig.vocabulary`.
      evaluation_split: what evaluation during training reads, where there is such a split.
    """

    name: str
    source: Source
    preprocessors: tuple[Preprocessor, ...] = ()
    expand: Callable[[Example], Sequence[Example]] | None = None
    metrics: tuple[str | Metric, ...] = ()
    postprocess: Callable[[str, Example, bool], Any] = identity
    objective: Objective | None = None
    labels: tuple[str, ...] = ()
    vocabulary: str = ""
    evaluation_split: str = "validation"

    @property
    def splits(self) -> tuple[str, ...]:
        return self.source.splits

    def raw(self, split: str, data_dir: str | None = None) -> Sequence[Example]:
        """The raw examples of a split, expanded."""
        try:
            examples = self.source.examples(split, data_dir)
        except DataError as error:
            raise DataError(f"Task '{self.name}': {error}") from None
        return Expanded(examples, self.expand) if self.expand else examples

    def text(self, example: Example, generator: np.random.Generator) -> Example | None:
        """A raw example as text: all its fields and `inputs` and `targets`; None where it is left out.

        Raises:
          DataError: the preprocessors ended without inputs or targets.
        """
        for function, takes_generator in zip(self.preprocessors, self._take_generators):
            example = function(example, generator) if takes_generator else function(example)
            if example is None:
                return None
        example = {"inputs": "", **example}
        for name in ("inputs", "targets"):
            if not isinstance(example.get(name), str):
                raise DataError(
                    f"Task '{self.name}': expected text in '{name}' after the preprocessors, found "
                    f"{example.get(name)!r} among {sorted(example)}: end with a preprocessor that makes it."
                )
        return example

    def targets(self, example: Example) -> str:
        """A raw example's targets as plain text ("" where it is left out)."""
        text = self.text(example, np.random.default_rng(0))
        return "" if text is None else text["targets"]

    def part(
        self,
        split: str,
        vocabulary: Vocabulary,
        *,
        lengths: tuple[int, int],
        rate: float = 1.0,
        data_dir: str | None = None,
        stretches: int = 0,
        labelling: Labelling | None = None,
    ) -> Part:
        """The task as one part of a training stream.

        Args:
          labelling: what a model learns of it that answers otherwise than with text. Of an example in several windows
            one is drawn, anew in every epoch.
          stretches: where it is given, examples are whole documents, or one long text cut into so many, to be read in
            consecutive segments.
        """
        raw = self.raw(split, data_dir)
        if stretches:
            documents = self._causal().documents
            return Part(Chunks(Mapped(raw, self.targets), vocabulary, 1, documents, stretches), _whole, rate)
        if self.objective is None:
            function = _Labelled(self, vocabulary, labelling) if labelling else _Tokenised(self, vocabulary)
            return Part(raw, function, rate)
        chunks = self._chunks(raw, vocabulary, lengths)
        return Part(chunks, _Objective(self.objective, vocabulary, chunks.length), rate)

    def evaluation_examples(
        self,
        split: str,
        vocabulary: Vocabulary,
        *,
        lengths: tuple[int, int],
        data_dir: str | None = None,
        limit: int | None = None,
    ) -> tuple[list[Example], list[Example]]:
        """All examples of a split (or the first `limit`) in order, as text and tokenised. Random choices are fixed
        ones."""
        if self.objective is None:
            texts = self.evaluation_texts(split, data_dir=data_dir, limit=limit)
            examples = [tokenise(t, vocabulary) for t in texts]
        else:
            raw = self.raw(split, data_dir)
            chunks = self._chunks(raw, vocabulary, lengths)
            count = len(chunks) if limit is None else min(limit, len(chunks))
            examples = [
                self.objective.apply(chunks[i], np.random.default_rng(i), vocabulary, chunks.length)
                for i in range(count)
            ]
            texts = [{k: vocabulary.decode(e[k]) for k in ("inputs", "targets")} for e in examples]
        return self._some(texts, split), examples

    def evaluation_texts(self, split: str, *, data_dir: str | None = None, limit: int | None = None) -> list[Example]:
        """All examples of a split (or the first `limit`) in order, as text."""
        raw = self.raw(split, data_dir)
        count = len(raw) if limit is None else min(limit, len(raw))
        texts = [t for i in range(count) if (t := self.text(raw[i], np.random.default_rng(i))) is not None]
        return self._some(texts, split)

    def _some(self, texts: list[Example], split: str) -> list[Example]:
        if not texts:
            raise DataError(f"Task '{self.name}', split '{split}': no example is left after the preprocessors.")
        return texts

    def evaluation_documents(
        self,
        split: str,
        vocabulary: Vocabulary,
        *,
        stretches: int,
        data_dir: str | None = None,
        limit: int | None = None,
    ) -> tuple[list[np.ndarray], int]:
        """The documents of a split in order, as tokens, or one long text cut into so many stretches; and how many bytes
        of text they are.

        Args:
          limit: no more documents or lines than make so many tokens.
        """
        objective, texts = self._causal(), Mapped(self.raw(split, data_dir), self.targets)
        documents, size, tokens = [], 0, 0
        for i in range(len(texts)):
            if limit is not None and tokens >= limit:
                break
            text = texts[i] if objective.documents else texts[i] + "\n"
            end = [vocabulary.eos_id] if objective.documents else []
            documents.append(np.asarray([*vocabulary.encode(text), *end], np.int32))
            size, tokens = size + len(text.encode()), tokens + len(documents[-1])
        if not tokens:
            raise DataError(f"Task '{self.name}', split '{split}': no text is left after the preprocessors.")
        if not objective.documents:
            documents = np.array_split(np.concatenate(documents), min(stretches, tokens))
        return documents, size

    def metric_functions(self) -> list[Metric]:
        """The metrics as functions."""
        return [METRICS[m] if isinstance(m, str) else m for m in self.metrics]

    @functools.cached_property
    def _take_generators(self) -> tuple[bool, ...]:
        return tuple(_required_arguments(function) > 1 for function in self.preprocessors)

    def _causal(self) -> Objective:
        """The objective, where the task can be read in consecutive segments."""
        if self.objective is None or self.objective.kind != "causal_lm":
            found = "none" if self.objective is None else f"'{self.objective.kind}'"
            raise DataError(
                f"Task '{self.name}': consecutive segments are of plain text with the objective 'causal_lm', found "
                f"{found}. Set data.objective to 'causal_lm', or data.consecutive to False."
            )
        return self.objective

    def _chunks(self, raw: Sequence[Example], vocabulary: Vocabulary, lengths: tuple[int, int]) -> Chunks:
        texts = Mapped(raw, self.targets)
        return Chunks(texts, vocabulary, self.objective.raw_length(*lengths), self.objective.documents)


def _required_arguments(function: Preprocessor) -> int:
    """How many arguments a function, method, partial or callable object must be given."""
    parameters = inspect.signature(function).parameters.values()
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


@dataclasses.dataclass(frozen=True)
class _Tokenised:
    """Raw example → tokenised, for the stream."""

    task: Task
    vocabulary: Vocabulary

    def __call__(self, example, generator):
        text = self.task.text(example, generator)
        return None if text is None else tokenise(text, self.vocabulary)


@dataclasses.dataclass(frozen=True)
class _Labelled:
    """Raw example → one of its windows, for the stream."""

    task: Task
    vocabulary: Vocabulary
    labelling: Labelling

    def __call__(self, example, generator):
        text = self.task.text(example, generator)
        if text is None:
            return None
        try:
            windows = self.labelling.examples(text, self.vocabulary, True)
        except DataError as error:
            raise DataError(f"Task '{self.task.name}': {error}") from None
        return windows[int(generator.integers(len(windows)))] if windows else None


@dataclasses.dataclass(frozen=True)
class _Objective:
    """A chunk of tokens → inputs and targets, for the stream."""

    objective: Objective
    vocabulary: Vocabulary
    length: int

    def __call__(self, tokens, generator):
        return self.objective.apply(tokens, generator, self.vocabulary, self.length)


def _whole(tokens, generator):
    """A document as an example, for the stream."""
    return {"targets": tokens}
