"""Where examples come from: a source gives, for each of its splits, a random-access sequence of dicts."""

import bisect
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from t2t.data.files import open_file
from t2t.errors import DataError, unknown


class Source(Protocol):
    """The interface of all sources. They are cheap to make: nothing is opened before `examples`."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        ...

    def examples(self, split: str, data_dir: str | None = None) -> Sequence[dict[str, Any]]:
        """The examples of a split, readable at any index in any order."""
        ...


@dataclasses.dataclass(frozen=True)
class FileSource:
    """The user's own files, one for each split; see `files.open_file` for formats.

    Attributes:
      files: split → path (or several files separated by commas: parallel).
      columns: the columns that every example must have.
      format: of `files.FORMATS`.
    """

    files: Mapping[str, str]
    columns: tuple[str, ...]
    format: str = "auto"

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.files)

    def examples(self, split: str, data_dir: str | None = None) -> Sequence[dict[str, Any]]:
        _check_split(self, split)
        return open_file(self.files[split], self.columns, self.format)


@dataclasses.dataclass(frozen=True)
class FunctionSource:
    """Examples that are in memory or generated: a function gives each split's sequence.

    Attributes:
      functions: split → a function of no arguments that returns a sequence of dicts.
    """

    functions: Mapping[str, Callable[[], Sequence[dict[str, Any]]]]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.functions)

    def examples(self, split: str, data_dir: str | None = None) -> Sequence[dict[str, Any]]:
        _check_split(self, split)
        examples = self.functions[split]()
        if len(examples) == 0:
            raise DataError(f"The split '{split}' is empty: expected at least one example.")
        return examples


@dataclasses.dataclass(frozen=True)
class Generated(Sequence[dict[str, Any]]):
    """A sequence of `count` examples of which each is made when it is asked for, from its index alone."""

    function: Callable[[int], dict[str, Any]]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> dict[str, Any]:
        if not 0 <= i < self.count:
            raise IndexError(i)
        return self.function(i)


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A dataset of TensorFlow Datasets, read through `tfds.data_source`, without TensorFlow.

    Attributes:
      dataset: e.g. "glue/cola:2.0.0".
      split_map: our split → theirs, e.g. {"train": "train", "validation": "validation[:50%]"}.
    """

    dataset: str
    split_map: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"train": "train", "validation": "validation", "test": "test"}
    )

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.split_map)

    def examples(self, split: str, data_dir: str | None = None) -> Sequence[dict[str, Any]]:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.constants import DATA_DIR

        _check_split(self, split)
        try:
            builder = tfds.builder(self.dataset, data_dir=data_dir and os.path.expanduser(data_dir), try_gcs=False)
            if not builder.data_path.exists():
                raise FileNotFoundError(builder.data_path)
            source = builder.as_data_source(split=self.split_map[split])
        except (tfds.core.DatasetNotFoundError, FileNotFoundError, AssertionError):
            # TFDS loads the code of most datasets lazily: "not found" only means that no prepared files are there.
            where = data_dir or DATA_DIR
            raise DataError(
                f"The dataset '{self.dataset}' is not prepared in {where}. Prepare it on a machine with "
                f"network and TensorFlow: tfds build {self.dataset} --file_format=array_record --data_dir={where}"
            ) from None
        except (ValueError, NotImplementedError) as error:
            raise DataError(
                f"'{self.dataset}', split '{self.split_map[split]}', cannot be read: {error} "
                "Expected the array_record format."
            ) from None
        if len(source) == 0:
            raise DataError(f"'{self.dataset}', split '{self.split_map[split]}', is empty.")
        return Mapped(source, _decoded)


@dataclasses.dataclass(frozen=True)
class Mapped(Sequence[Any]):
    """A sequence with a function over each of its items when they are asked for."""

    items: Sequence[Any]
    function: Callable[[Any], Any]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.function(self.items[i])


@dataclasses.dataclass(frozen=True)
class Slice(Sequence[Any]):
    """The items at `indices` of another sequence."""

    items: Sequence[Any]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Any:
        return self.items[self.indices[i]]


class Expanded(Sequence[Any]):
    """Every item of a sequence turned into several: still readable at any index.

    The function runs once over all items on the first look at the length, to count what each becomes.
    """

    def __init__(self, items: Sequence[Any], function: Callable[[Any], Sequence[Any]]):
        self.items, self.function = items, function

    @functools.cached_property
    def _starts(self) -> list[int]:
        counts = (len(self.function(self.items[i])) for i in range(len(self.items)))
        return [0, *itertools.accumulate(counts)]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        item = bisect.bisect_right(self._starts, i) - 1
        return self.function(self.items[item])[i - self._starts[item]]


def _check_split(source: Source, split: str) -> None:
    if split not in source.splits:
        raise DataError(unknown("split", split, source.splits))


def _decoded(value: Any) -> Any:
    """Bytes as text, strictly, wherever they stand in an example of TFDS."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"An example of TFDS holds a byte that is not UTF-8 (at {error.start}): {value[:40]!r}"
            ) from None
    if isinstance(value, Mapping):
        return {k: _decoded(v) for k, v in value.items()}
    if isinstance(value, list | tuple) or getattr(getattr(value, "dtype", None), "kind", "") == "O":
        return [_decoded(v) for v in value]
    return value
