"""Datasets mixed by rate into endless streams that are functions of (seed, index)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grain
import numpy as np


@dataclasses.dataclass(frozen=True)
class Part:
    """One dataset of a mixture.

    Attributes:
      examples: readable at any index.
      function: (example, random generator) → tokenised example, or None where it is filtered out.
      rate: its share, relative to the other parts'.
    """

    examples: Sequence[Mapping[str, Any]]
    function: Callable[[Mapping[str, Any], np.random.Generator], Mapping[str, Any] | None]
    rate: float = 1.0


def make_streams(parts: Sequence[Part], *, seed: int, shards: int = 1) -> list[grain.MapDataset]:
    """One endless stream for each shard.

    Every part is shuffled anew in each epoch and repeated for ever. Of any n consecutive examples of a stream, a part
    of share r gives n·r of them, give or take the number of parts. A stream's example i is always the same one.

    Args:
      parts: at least one, of rates above 0.
      shards: how many streams share the examples out among themselves.
    """
    total = sum(part.rate for part in parts)
    streams = []
    for shard in range(shards):
        datasets = []
        for i, part in enumerate(parts):
            shuffled = grain.MapDataset.source(part.examples).seed(seed + 1_000_003 * i).shuffle().repeat()
            datasets.append((shuffled[shard::shards] if shards > 1 else shuffled).random_map(_Guarded(part.function)))
        streams.append(
            datasets[0]
            if len(datasets) == 1
            else grain.MapDataset.mix(datasets, weights=[part.rate / total for part in parts])
        )
    return streams


@dataclasses.dataclass(frozen=True)
class _Guarded:
    """Calls a part's function; a filtered example becomes an empty dict, so that it can be counted."""

    function: Callable

    def __call__(self, example, generator):
        return self.function(example, generator) or {}
