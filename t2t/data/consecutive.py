"""Rows that read documents from beginning to end in consecutive segments, for models with a memory.

Each row of a batch has a document of its own, and goes on in the next batch where it stopped in this. When a document
ends, the row takes the next one of the stream, in the same segment. Segment ids say which document a token is of: they
go on from batch to batch, and no two documents that follow each other in a row have the same.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

ROW = 2  # numbers that say where a row stands: which example of the stream it reads, and how many tokens of it


@dataclasses.dataclass(frozen=True)
class Piece:
    """What a row reads of one document in one batch.

    Attributes:
      inputs, targets: int32, of the same length: each token's predecessor, and the token.
      segment: the id of the document.
      start: how many tokens of it came before.
    """

    inputs: np.ndarray
    targets: np.ndarray
    segment: int
    start: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentConverter:
    """Rows of pieces into the features of a decoder.

    Attributes:
      length: tokens of a segment.
      start_id: what is read before a document; None: nothing is, and its first token is not predicted.
    """

    length: int
    start_id: int | None = 0

    @property
    def limits(self) -> tuple[int, ...]:
        return (self.length,)

    def __call__(self, rows: Sequence[Sequence[Piece]], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        """Rows of pieces → arrays [b n]."""
        names = ("decoder_inputs", "decoder_segments", "decoder_positions", "targets")
        batch = {name: np.zeros((len(rows), lengths[0]), np.int32) for name in names}
        for r, row in enumerate(rows):
            at = 0
            for piece in row:
                where = (r, slice(at, at + len(piece.targets)))
                batch["decoder_inputs"][where], batch["targets"][where] = piece.inputs, piece.targets
                batch["decoder_segments"][where] = piece.segment
                batch["decoder_positions"][where] = piece.start + np.arange(len(piece.targets))
                at += len(piece.targets)
        return batch | {"loss_weights": (batch["decoder_segments"] > 0).astype(np.float32)}


class Rows:
    """Rows that read documents one after the other.

    Args:
      converter: says how long a segment is, and what documents begin with.
      take: () → the next document of the stream: its index and its tokens; None where there is none any more.
      places: for each row, the index of its document (−1 for none yet) and how many tokens of it have been read.
      document: index → its tokens, of those that `places` name.
    """

    def __init__(
        self,
        converter: SegmentConverter,
        take: Callable[[], tuple[int, np.ndarray] | None],
        places: Sequence[Sequence[int]],
        document: Callable[[int], np.ndarray],
    ):
        self._converter, self._take = converter, take
        self._places = [list(place) for place in places]
        self._tokens = [self._whole(document(index)) if index >= 0 else np.zeros(1, np.int32) for index, _ in places]

    @property
    def places(self) -> list[list[int]]:
        """Where the rows stand; see `places` above."""
        return [list(place) for place in self._places]

    def next(self) -> list[list[Piece]]:
        """The next segment of every row, shorter than `length` only where there are no more documents."""
        return [self._segment(row) for row in range(len(self._places))]

    def _segment(self, row: int) -> list[Piece]:
        pieces, left = [], self._converter.length
        while left:
            (index, read), tokens = self._places[row], self._tokens[row]
            if read >= len(tokens) - 1:
                taken = self._take()
                if taken is None:
                    break
                index, read, tokens = taken[0], 0, self._whole(taken[1])
                self._tokens[row] = tokens
            n = min(left, max(len(tokens) - 1 - read, 0))
            if n:
                pieces.append(Piece(tokens[read : read + n], tokens[read + 1 : read + n + 1], index + 1, read))
            self._places[row], left = [index, read + n], left - n
        return pieces

    def _whole(self, tokens: np.ndarray) -> np.ndarray:
        """A document after what it begins with."""
        start = self._converter.start_id
        return tokens if start is None else np.concatenate([np.asarray([start], np.int32), tokens])


class ConsecutiveShard:
    """One shard of a stream of documents, read by rows: see `Loader`, whose shards have this interface.

    Its position is one list of numbers: how many examples of the stream have been taken, and the `ROW` of each row.
    """

    def __init__(
        self,
        stream: Any,
        examples: Any,
        position: Sequence[int],
        rows: int,
        converter: SegmentConverter,
        statistics: Any,
    ):
        self._taken, self._examples, self._statistics = position[0], examples, statistics
        places = np.reshape(position[1:], (rows, ROW)).tolist()
        self._rows = Rows(converter, self._take, places, lambda index: tokens_of(stream[index]))

    def next_rows(self) -> tuple[list[list[Piece]], list[int]]:
        """The next segments, and the position after them."""
        rows = self._rows.next()
        return rows, [self._taken, *(number for place in self._rows.places for number in place)]

    def close(self) -> None:
        if hasattr(self._examples, "close"):
            self._examples.close()

    def _take(self) -> tuple[int, np.ndarray]:
        while True:
            example, self._taken = next(self._examples), self._taken + 1
            if example:
                return self._taken - 1, tokens_of(example)
            self._statistics.filtered += 1

    @staticmethod
    def beginning(rows: int) -> list[int]:
        """The position before the first example."""
        return [0, *([-1, 0] * rows)]


def tokens_of(example: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(example["targets"], np.int32)
