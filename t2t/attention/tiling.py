"""Which tiles of a layout hold pairs that may meet: the block layout of a pattern, found once at trace time."""

import dataclasses

import numpy as np

from t2t.attention.order import GRAIN, Order
from t2t.attention.pattern import Pattern

MOST_GRAINS = 2048  # along a side; longer sequences are looked at in coarser grains
QUERY_TILES = (16, 32, 64, 128, 256)
KEY_TILES = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LARGEST = 2**17  # pairs of a tile
# What a tile costs, in the time of one pair: to begin it, and for each of its queries and keys.
PER_TILE, PER_SLOT = 6000, 16


@dataclasses.dataclass(frozen=True, eq=False)
class Tiling:
    """Tiles of queries, each computed against some slices of keys.

    Tile t holds the query slots [t · query_tile, (t + 1) · query_tile), and is computed against the key slots
    [s, s + key_tile) for s in starts[offsets[t] : offsets[t + 1]]: disjoint slices that hold every pair of the tile.

    Attributes:
      query_tile, key_tile: slots.
      offsets: int32 [tiles + 1].
      starts: int32 [items].
      regular: (first, stride) where tile t has one slice only, and first + t · stride may begin it; else None.
      cost: of all tiles, in pairs.
    """

    query_tile: int
    key_tile: int
    offsets: np.ndarray
    starts: np.ndarray
    regular: tuple[int, int] | None
    cost: float

    @property
    def tiles(self) -> int:
        return len(self.offsets) - 1

    @property
    def items(self) -> int:
        return len(self.starts)

    @property
    def computed(self) -> int:
        """Pairs computed, met or not."""
        return self.items * self.query_tile * self.key_tile

    def slices(self, *, regular: bool = True) -> list[tuple[int, int]]:
        """Every (tile, first slot of keys) that is computed; at regular distances where these may be used."""
        if regular and self.regular is not None:
            first, stride = self.regular
            return [(t, first + t * stride) for t in range(self.tiles)]
        tiles = np.repeat(np.arange(self.tiles), np.diff(self.offsets))
        return list(zip(tiles.tolist(), self.starts.tolist()))

    def reaches_over(self, run: int) -> bool:
        """Whether a slice of keys leaves the run of slots that its tile of queries is in."""
        return any(
            start < (low := tile * self.query_tile // run * run) or start + self.key_tile > low + run
            for tile, start in self.slices()
        )


def tile(pattern: Pattern, queries: Order, keys: Order, most: int = LARGEST) -> Tiling:
    """The cheapest tiling of a pattern in these orders whose tiles have no more than `most` pairs."""
    needed, grain = grains(pattern, queries, keys)
    groups = queries.groups
    run = None if groups is None else len(groups) // (int(groups[-1]) + 1)
    best = None
    for query_tile in _sizes(QUERY_TILES, grain, run, needed.shape[0]):
        rows = _merge_rows(needed, query_tile // grain)
        for key_tile in _sizes(KEY_TILES, grain, run, needed.shape[1]):
            if best is not None and query_tile * key_tile > most:
                continue
            offsets, starts = _cover(rows, key_tile // grain)
            cost = len(starts) * (query_tile * key_tile + PER_SLOT * (query_tile + key_tile) + PER_TILE)
            if best is None or cost < best[0]:
                best = cost, query_tile, key_tile, offsets, starts * grain, rows
    cost, query_tile, key_tile, offsets, starts, rows = best
    regular = _regular(rows, grain, query_tile, key_tile, offsets)
    return Tiling(query_tile, key_tile, offsets, starts.astype(np.int32), regular, float(cost))


def grains(pattern: Pattern, queries: Order, keys: Order) -> tuple[np.ndarray, int]:
    """Which grains of slots hold a pair that may meet: booleans [query grains, key grains], and the slots of a grain.

    Exact for patterns whose `bounds` say nothing and for grains on which they do not decide; else as good as they are.
    """
    query_positions, key_positions = queries.positions, keys.positions
    grain = GRAIN
    if queries.groups is None:
        while max(len(query_positions), len(key_positions)) > MOST_GRAINS * grain:
            grain *= 2
    query, key = _split(query_positions, grain), _split(key_positions, grain)
    query_low, query_high, query_real = _ends(query)
    key_low, key_high, key_real = _ends(key)
    needed = np.zeros((len(query), len(key)), bool)
    groups = None if queries.groups is None else (queries.groups[::grain], keys.groups[::grain])
    chunk = max(1, 2**21 // max(len(key), 1))
    for start in range(0, len(query), chunk):
        rows = slice(start, start + chunk)
        bounds = pattern.bounds(query_low[rows, None], query_high[rows, None], key_low[None], key_high[None])
        possible = query_real[rows, None] & key_real[None]
        if groups is not None:
            possible = possible & (groups[0][rows, None] == groups[1][None])
        if bounds is not None:
            needed[rows] = possible & bounds[0]
            continue
        for i in range(start, min(start + chunk, len(query))):  # nothing is known: look at every pair
            columns = np.flatnonzero(possible[i - start])
            allowed = pattern.allows(query[i][:, None, None], key[columns][None])
            allowed = np.broadcast_to(allowed, (grain, len(columns), grain))
            real = (query[i] >= 0)[:, None, None] & (key[columns] >= 0)[None]
            needed[i, columns] = (allowed & real).any((0, 2))
    return needed, grain


def _split(positions: np.ndarray, grain: int) -> np.ndarray:
    """[slots] → [grains, grain], padded with −1."""
    return np.pad(positions, (0, -len(positions) % grain), constant_values=-1).reshape(-1, grain)


def _ends(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lowest and highest position of each grain, and whether it holds any."""
    real = positions >= 0
    low = np.where(real, positions, np.iinfo(np.int64).max).min(1)
    return np.where(real.any(1), low, 0), np.maximum(positions.max(1), 0), real.any(1)


def _sizes(sizes: tuple[int, ...], grain: int, run: int | None, grains_in_all: int) -> list[int]:
    """The tile sizes that fit: whole grains, no tile over two groups, none much longer than the sequence."""
    most = max(grain, grains_in_all * grain)
    if run is not None:
        found = [s for s in {*sizes, run} if run % s == 0 and s <= max(sizes)] or [grain]
    else:
        found = [s for s in sizes if s % grain == 0 and s < 2 * most]
    return sorted(found) or [grain]


def _merge_rows(needed: np.ndarray, count: int) -> np.ndarray:
    """`count` rows of grains as one row of tiles."""
    padded = np.pad(needed, ((0, -len(needed) % count), (0, 0)))
    return padded.reshape(-1, count, needed.shape[1]).any(1)


def _cover(rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint slices of `length` grains that cover what each row needs: offsets [rows + 1] and starts in grains."""
    tiles, width = rows.shape
    index = np.where(rows, np.arange(width), width)
    following = np.minimum.accumulate(index[:, ::-1], axis=1)[:, ::-1]  # the first needed grain at or after each
    following = np.concatenate([following, np.full((tiles, 1), width)], axis=1)
    cursor, found = np.zeros(tiles, int), []
    while True:
        start = following[np.arange(tiles), np.minimum(cursor, width)]
        if (start == width).all():
            break
        found.append(start)
        cursor = start + length
    starts = np.stack(found, axis=1) if found else np.zeros((tiles, 0), int)
    used = starts < width
    offsets = np.concatenate([[0], used.sum(1).cumsum()]).astype(np.int32)
    return offsets, starts[used]


def _regular(rows, grain, query_tile, key_tile, offsets) -> tuple[int, int] | None:
    """(first, stride) such that tile t needs nothing but the slots from first + t · stride, `key_tile` of them."""
    if (np.diff(offsets) > 1).any() or not rows.any():
        return None
    some = np.flatnonzero(rows.any(1))
    low = rows.argmax(1)[some] * grain
    high = (rows.shape[1] - rows[:, ::-1].argmax(1)[some]) * grain
    for stride in (query_tile, 0):
        if stride and key_tile % stride:
            continue
        first, last = (high - key_tile - stride * some).max(), (low - stride * some).min()
        if first <= last:
            return int(last), stride
    return None
