"""Streams of examples into batches, ahead of training, with the position after each.

A batch is a function of (seed, position). The position is small, and says how far each shard of the stream has been
read;
it does not depend on the number of hosts or workers. Batches carry the position after them, because what is made ahead
is not yet trained on.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np

from t2t.data.consecutive import ConsecutiveShard
from t2t.data.converters import Converter
from t2t.data.shards import Layout, Shard, Statistics, lengths_of, read_from
from t2t.errors import DataError

# For each shard: the example at which its window of batches begins, and batches taken of it; or `ConsecutiveShard`'s.
Position = list[list[int]]


class Loader(Iterator[tuple[dict[str, np.ndarray], Position]]):
    """Iterates (this host's rows of the next batch, position after it), for ever. Close it when done.

    Args:
      streams: one endless stream for each shard, of dicts with `inputs` and `targets` (empty dicts are filtered out).
      layout: how examples become batches.
      host, hosts: which of how many hosts this is; host i gets rows [i·b/hosts, (i+1)·b/hosts).
      start: a position to continue from.
      workers: processes that read ahead; 0 reads in the thread that makes batches.
      prefetch: how many batches to make ahead.

    Raises:
      DataError: sizes that do not divide; on iteration, whatever is wrong with the data.
    """

    def __init__(
        self,
        streams: Sequence[grain.MapDataset],
        layout: Layout,
        *,
        host: int = 0,
        hosts: int = 1,
        start: Position | None = None,
        workers: int = 0,
        prefetch: int = 4,
    ):
        shards = len(streams)
        for name, count in (("hosts", hosts), ("shards", shards)):
            if layout.batch_size % count:
                raise DataError(
                    f"A batch of {layout.batch_size} rows does not divide among {count} {name}: "
                    f"make train.batch_size a multiple of {count}."
                )
        if start is not None and len(start) != shards:
            raise DataError(
                f"The saved position is of {len(start)} shards, found data.shards {shards}: keep data.shards."
            )
        self.statistics = Statistics()
        per_host, per_shard = layout.batch_size // hosts, layout.batch_size // shards
        first, last = host * per_host, (host + 1) * per_host
        self._rows = slice(first, last)
        beginning = ConsecutiveShard.beginning(per_shard) if layout.consecutive else [0, 0]
        position = [list(p) for p in start] if start is not None else [list(beginning) for _ in range(shards)]
        # Only the shards that hold rows of this host are read here; the others' positions move along with the batches
        # that `gather_position` collects from their hosts.
        self._mine = [s for s in range(shards) if s * per_shard < last and (s + 1) * per_shard > first]
        self._offset = first - self._mine[0] * per_shard
        self._position, self._layout = position, layout
        self._shards = [self._shard(streams[s], position[s], per_shard, workers) for s in self._mine]
        self._queue: queue.Queue = queue.Queue(maxsize=prefetch)
        self._stop, self._begun = threading.Event(), None
        self._thread = threading.Thread(target=self._produce, daemon=True, name="t2t-loader")
        self._thread.start()

    def __next__(self) -> tuple[dict[str, np.ndarray], Position]:
        start = time.perf_counter()
        self._begun = self._begun or start
        item = self._queue.get()
        self.statistics.waited += time.perf_counter() - start
        self.statistics.seconds = time.perf_counter() - self._begun
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Stops the thread and the workers."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(timeout=0.05)
        for shard in self._shards:
            shard.close()

    def _shard(self, stream, position, rows: int, workers: int):
        examples, layout = read_from(stream, position[0], workers), self._layout
        if layout.consecutive:
            return ConsecutiveShard(stream, examples, position, rows, layout.converter, self.statistics)
        return Shard(examples, position, rows, layout, self.statistics)

    def _produce(self) -> None:
        try:
            while not self._stop.is_set():
                self._put(self._batch())
        except BaseException as error:
            self._put(error)

    def _put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None

    def _batch(self) -> tuple[dict[str, np.ndarray], Position]:
        rows = []
        for s, shard in zip(self._mine, self._shards):
            shard_rows, self._position[s] = shard.next_rows()
            rows += shard_rows
        lengths = lengths_of(rows, self._layout)
        rows = rows[self._offset : self._offset + self._rows.stop - self._rows.start]
        batch = self._layout.converter(rows, lengths)
        self.statistics.examples += sum(len(row) for row in rows)
        for name in ("encoder_segments", "decoder_segments"):
            if name in batch:
                self.statistics.tokens += int((batch[name] > 0).sum())
                self.statistics.slots += batch[name].size
        return batch, [list(p) for p in self._position]


def merge_positions(positions: Sequence[Position]) -> Position:
    """The position of all shards from those of all hosts, each of which has read on in its own shards alone."""
    return [list(max(shard)) for shard in zip(*positions)]


EvalBatch = tuple[dict[str, np.ndarray], list[int]]


def evaluation_batches(
    examples: Sequence[Any],
    converter: Converter,
    *,
    batch_size: int,
    buckets: Sequence[int],
    on_too_long: Callable[[int], None] = lambda count: None,
) -> Iterator[EvalBatch]:
    """Finite batches over all examples, never packed, sorted by length so that little is padding.

    Args:
      examples: tokenised.
      buckets: lengths to pad to (the limits are always among them).
      on_too_long: told how many examples were cut to the limits, if any were.

    Yields:
      A batch of exactly `batch_size` rows and the indices of its examples; rows beyond them are empty, of weight 0.
    """
    limits = converter.limits
    too_long = [any(s > l for s, l in zip(converter.sizes(e), limits)) for e in examples]
    if any(too_long):
        on_too_long(sum(too_long))
    examples = [converter.trim(e, limits) if cut else e for e, cut in zip(examples, too_long)]
    order = sorted(range(len(examples)), key=lambda i: (max(converter.sizes(examples[i])), i), reverse=True)
    layout = Layout(converter=converter, batch_size=batch_size, packing=False, buckets=tuple(buckets))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        rows = [[examples[i]] for i in indices] + [[] for _ in range(batch_size - len(indices))]
        yield converter(rows, lengths_of(rows, layout)), indices
