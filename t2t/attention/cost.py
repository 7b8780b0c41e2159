"""What attention under a pattern costs, before it is run."""

import dataclasses
import functools

import numpy as np

from t2t.attention.pattern import Pattern
from t2t.attention.plan import Piece, plan


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of n queries and m keys, for one head of one row.

    Attributes:
      n, m: queries and keys.
      pairs: how many may meet.
      computed: how many pairs the plan computes, those of its tiles that may not meet among them.
      tiles: how many tiles that is, in all of the plan's pieces.
    """

    n: int
    m: int
    pairs: int
    computed: int
    tiles: int

    @property
    def dense_pairs(self) -> int:
        """How many pairs there are."""
        return self.n * self.m

    @property
    def limit(self) -> float:
        """How many times fewer pairs there are than in attention of everyone to everyone: the best there could be."""
        return self.dense_pairs / max(self.pairs, 1)

    @property
    def gain(self) -> float:
        """How many times fewer pairs are computed."""
        return self.dense_pairs / max(self.computed, 1)

    def flops(self, head_width: int, *, backward: bool = False) -> int:
        """Floating-point operations of the products over the pairs that meet: 4 k forward, and 10 k more backward (Dao
        et al. 2022: five products of 2 k, the logits made again among them)."""
        return (14 if backward else 4) * head_width * self.pairs

    def __str__(self) -> str:
        return (
            f"{self.n:,} × {self.m:,}: {self.pairs:,} pairs meet, 1 of {self.limit:.1f}; "
            f"{self.computed:,} are computed, 1 of {self.gain:.1f}, in {self.tiles:,} tiles"
        )


@functools.lru_cache(maxsize=512)
def cost(pattern: Pattern, n: int, m: int) -> Cost:
    """The cost of a pattern for n queries and m keys, counted exactly."""
    pieces = plan(pattern, n, m)
    return Cost(
        n=n,
        m=m,
        pairs=sum(_pairs(piece) for piece in pieces),
        computed=sum(piece.tiling.computed for piece in pieces),
        tiles=sum(piece.tiling.items for piece in pieces),
    )


def _pairs(piece: Piece) -> int:
    """How many pairs of a piece meet. Tiles about which the pattern's bounds say all are not looked into."""
    tiling, total = piece.tiling, 0
    query, key = piece.queries.positions, piece.keys.positions
    for tile, start in tiling.slices():
        i = query[tile * tiling.query_tile : (tile + 1) * tiling.query_tile]
        j = key[max(start, 0) : max(start + tiling.key_tile, 0)]
        i, j = i[i >= 0], j[j >= 0]
        if not len(i) or not len(j):
            continue
        bounds = piece.pattern.bounds(i.min(), i.max(), j.min(), j.max())
        if bounds is not None and bounds[1]:
            total += len(i) * len(j)
        elif bounds is None or bounds[0]:
            allowed = piece.pattern.allows(i[:, None], j[None])
            total += int(np.count_nonzero(np.broadcast_to(allowed, (len(i), len(j)))))
    return total
