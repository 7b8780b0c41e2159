"""Rows of different lengths in batches of few shapes, so that few programs are compiled; and a bar for long inputs."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from t2t.data.vocabulary import EncodedText

SHORTEST = 8  # that rows are padded to
T = TypeVar("T")
LONG = 4  # batches, from which on a bar shows how far it is


def padded_length(length: int, limit: int | None) -> int:
    """The length that a row is padded to: the next of 8, 16, 32, …, or the limit where that comes first; its own beyond
    the limit."""
    found = max(SHORTEST, 1 << (length - 1).bit_length())
    return found if limit is None else max(length, min(found, limit))


def batches(lengths: Sequence[int], size: int) -> list[tuple[int, list[int]]]:
    """(length, the numbers of its rows), at most `size` of them: rows of equal lengths go together."""
    alike: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        alike.setdefault(length, []).append(i)
    return [(n, rows[i : i + size]) for n, rows in sorted(alike.items()) for i in range(0, len(rows), size)]


def filled(rows: list[int], size: int) -> list[int]:
    """The last of the rows again until they are 1, 2, 4, … or `size`, so that batches have few sizes."""
    count = min(size, 1 << (len(rows) - 1).bit_length())
    return rows + rows[-1:] * (count - len(rows))


def padded(rows: Sequence[EncodedText], length: int, pad_id: int, *, left: bool = False) -> dict[str, np.ndarray]:
    """input_ids, attention_mask and token_type_ids, int32 [b length]."""

    def array(lists: Sequence[Sequence[int]], fill: int) -> np.ndarray:
        found = np.full((len(lists), length), fill, np.int32)
        for row, values in zip(found, lists):
            row[slice(length - len(values), None) if left else slice(len(values))] = values
        return found

    return {
        "input_ids": array([row.ids for row in rows], pad_id),
        "attention_mask": array([[1] * len(row) for row in rows], 0),
        "token_type_ids": array([row.types for row in rows], 0),
    }


def shown(parts: Sequence[T], counts: Sequence[int], what: str, show: bool | None) -> Iterator[T]:
    """The parts, with a bar on the error stream that moves by each one's count.

    Args:
      show: None for where there are many parts, and a person looks.
    """
    if not (len(parts) > LONG and sys.stderr.isatty() if show is None else show):
        yield from parts
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=sum(counts))
        for part, count in zip(parts, counts):
            yield part
            bar.advance(task, count)
