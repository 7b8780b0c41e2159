"""One shard of a stream: rows of examples, packed, sorted into buckets or as they come, and the position after them."""

import dataclasses
from collections.abc import Iterator, Sequence

import grain
import numpy as np

from t2t.data.consecutive import SegmentConverter
from t2t.data.converters import Converter
from t2t.data.packing import Packer
from t2t.data.workers import allow_workers, die_with_parent
from t2t.errors import DataError

WINDOW = 16  # batches whose examples are sorted by length together, where batches are padded to buckets


@dataclasses.dataclass
class Statistics:
    """What has been read so far by this process.

    Attributes:
      examples, tokens, slots: examples laid out, their tokens, and the room there was for tokens.
      filtered, too_long: examples that a preprocessor filtered out, and that were longer than a limit.
      waited: seconds that the consumer waited for a batch.
      seconds: since the first batch was asked for.
    """

    examples: int = 0
    tokens: int = 0
    slots: int = 0
    filtered: int = 0
    too_long: int = 0
    waited: float = 0.0
    seconds: float = 0.0

    @property
    def efficiency(self) -> float:
        """The share of a batch's slots that hold tokens."""
        return self.tokens / self.slots if self.slots else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How examples become batches.

    Attributes:
      batch_size: rows of a global batch.
      packing, buckets, too_long, consecutive: see `DataConfig`.
    """

    converter: Converter | SegmentConverter
    batch_size: int
    packing: bool
    consecutive: bool = False
    buckets: tuple[int, ...] = ()
    too_long: str = "trim"


def read_from(stream: grain.MapDataset, first: int, workers: int) -> Iterator:
    """The examples of a stream from one on."""
    dataset = stream[first:].to_iter_dataset(grain.ReadOptions(num_threads=0))
    if workers:
        allow_workers()
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=64),
            worker_init_fn=die_with_parent,
        )
    return iter(dataset)


class Shard:
    """One shard of the stream: rows of examples, and the position after them."""

    def __init__(self, examples: Iterator, position: list[int], rows: int, layout: Layout, statistics: Statistics):
        self._examples, self._rows, self._layout, self._statistics = examples, rows, layout, statistics
        self._window = WINDOW if layout.buckets else 1
        self._read, taken = position
        self._held: tuple | None = None  # an example that was read but did not fit into the batch before
        self._batches: list = []
        if taken:
            self._fill()
            self._batches = self._batches[taken:]

    def next_rows(self) -> tuple[list[list], list[int]]:
        """The next rows, and the position after them."""
        if self._layout.packing:
            return self._packed(), [self._read, 0]
        if not self._batches:
            self._fill()
        rows = self._batches.pop(0)
        taken = self._window - len(self._batches)
        return rows, [self._read, 0] if taken == self._window else [self._begin, taken]

    def close(self) -> None:
        if hasattr(self._examples, "close"):
            self._examples.close()

    def _fill(self) -> None:
        """Reads a window of batches; with buckets, examples of like length come into the same one."""
        self._begin = self._read
        examples = [self._next() for _ in range(self._rows * self._window)]
        if self._window > 1:
            generator = np.random.default_rng(self._begin)
            sizes = [self._layout.converter.sizes(e) for e in examples]
            order = sorted(range(len(examples)), key=lambda i: (max(sizes[i]), i))
            batches = [
                [[examples[i]] for i in order[b * self._rows : (b + 1) * self._rows]] for b in range(self._window)
            ]
            self._batches = [batches[b] for b in generator.permutation(self._window)]
        else:
            self._batches = [[[e] for e in examples]]

    def _packed(self) -> list[list]:
        packer = Packer(self._rows, self._layout.converter.limits)
        while True:
            before = self._read
            example = self._next()
            if not packer.add(example, self._layout.converter.sizes(example)):
                # The position is before this example and whatever was skipped just ahead of it.
                self._held, self._read = (example, self._read), before
                return packer.rows

    def _next(self):
        """The next example that is used, cut to the limits or counted as skipped where it is too long."""
        if self._held is not None:
            (example, self._read), self._held = self._held, None
            return example
        converter, limits = self._layout.converter, self._layout.converter.limits
        while True:
            example = next(self._examples)
            self._read += 1
            if not example:
                self._statistics.filtered += 1
                continue
            sizes = converter.sizes(example)
            if all(size <= limit for size, limit in zip(sizes, limits)):
                return example
            self._statistics.too_long += 1
            if self._layout.too_long == "error":
                raise DataError(
                    f"An example has {' and '.join(map(str, sizes))} tokens, more than the limit of "
                    f"{' and '.join(map(str, limits))}: {str(example.get('inputs_text', ''))[:80]!r}. Raise "
                    "data.inputs_length and data.targets_length, or set data.too_long to 'trim' or 'skip'."
                )
            if self._layout.too_long == "trim":
                return converter.trim(example, limits)


def lengths_of(rows: Sequence[Sequence], layout: Layout) -> tuple[int, ...]:
    """The length of each side that the rows are padded to."""
    limits = layout.converter.limits
    if not layout.buckets:
        return limits
    longest = [max(sum(layout.converter.sizes(e)[side] for e in row) for row in rows) for side in range(len(limits))]
    return tuple(
        min([bucket for bucket in layout.buckets if bucket >= length] + [limit])
        for length, limit in zip(longest, limits)
    )
