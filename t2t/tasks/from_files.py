"""A task of the user's own files and columns, without a line of code."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from t2t.data.config import DataConfig
from t2t.data.files import open_file
from t2t.data.sources import FunctionSource, Slice
from t2t.errors import DataError, unknown
from t2t.tasks.formats.spans import any_answer, extractive
from t2t.tasks.metrics import TEXT_METRICS
from t2t.tasks.objective import Objective
from t2t.tasks.task import Task

HELD_OUT, MOST_HELD_OUT = 0.05, 2_000


def from_files(config: DataConfig, name: str = "files") -> Task:
    """The task of `config.train` and `config.validation`, which are opened and checked as a whole here.

    Without a validation file a twentieth of the training examples (at most 2,000) is held out, the same ones always.

    Raises:
      DataError: whatever is wrong with the files; a training file with too few examples to hold one out.
    """
    for metric in config.metrics:
        if metric not in TEXT_METRICS:
            raise DataError(f"data.metrics: {unknown('metric of text', metric, TEXT_METRICS)}")
    plain = config.objective and config.inputs == "inputs"
    columns = tuple(c for c in ("" if plain else config.inputs, config.pair, config.targets) if c)
    if plain and config.targets == "targets":
        columns = ("text",)
    train = open_file(config.train, columns, config.format)
    if config.validation:
        validation = open_file(config.validation, columns, config.format)
    else:
        if len(train) < 2:
            raise DataError(f"{config.train} has one example: give at least two, or a --config.data.validation file.")
        held_out = min(max(int(len(train) * HELD_OUT), 1), MOST_HELD_OUT)
        order = np.random.default_rng(0).permutation(len(train))
        if config.objective:  # lines of one text: hold out its end
            order = np.arange(len(train))[::-1]
        validation = Slice(train, np.sort(order[:held_out]).tolist())
        train = Slice(train, np.sort(order[held_out:]).tolist())
    source = FunctionSource({"train": _Constant(train), "validation": _Constant(validation)})
    if config.format == "squad":
        return Task(name=name, source=source, preprocessors=(extractive,), metrics=("squad",), postprocess=any_answer)
    return Task(
        name=name,
        source=source,
        preprocessors=(_Columns(columns, config.prefix),),
        metrics=() if config.objective else config.metrics,
        objective=Objective(kind=config.objective) if config.objective else None,
    )


@dataclasses.dataclass(frozen=True)
class _Constant:
    """A function of no arguments that gives the same thing always (and can be sent to worker processes)."""

    value: object

    def __call__(self):
        return self.value


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The named columns as inputs, one or two texts with their prefix, and targets."""

    columns: tuple[str, ...]
    prefix: str

    def __call__(self, example: Mapping[str, str]) -> Mapping[str, str]:
        texts = [example[name] for name in self.columns[:-1]] or [""]
        texts[0] = self.prefix + texts[0]
        return {"inputs": " ".join(texts), "texts": texts, "targets": example[self.columns[-1]]}
