"""A tiling as pairs of aligned blocks, for kernels whose blocks of memory begin at multiples of their own length."""

import dataclasses
import functools

import numpy as np

from t2t.attention.tiling import Tiling

SIZES = (128, 256, 512)  # of blocks: multiples of the 128 lanes of a TPU's registers
PER_STEP = 2**16  # pairs in the time that a step of a kernel takes by itself; reasoned, not measured
MOST_ITEMS = 2**17  # half of what a TPU's scalar memory of 1 MiB holds
EDGE_BITS, BLOCK_BITS = 2, 14  # of a packed item


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """Pairs of a block of queries and a block of keys that cover a tiling.

    Attributes:
      query_block, key_block: slots of a block.
      queries, keys: slots in all, with those that fill the last blocks.
      items: int32 [items 2], a block of queries and one of keys: every pair of blocks at most once, and in it every
        block at least once, sorted.
      reach: int32 [2 queries], the first key slot that the slices of a query slot's tile hold, and the one behind the
        last. A pair of blocks may hold slots of other tiles and, where the order has groups, of other groups, whose
        pairs the pattern of the piece need not rule out: pairs count only within the reach.
    """

    query_block: int
    key_block: int
    queries: int
    keys: int
    items: np.ndarray
    reach: np.ndarray

    def packed(self, by: int) -> np.ndarray:
        """The items with the blocks of queries (by = 0) or of keys (by = 1) in order, int32 [items], for `unpacked`."""
        items = self.items[np.lexsort((self.items[:, 1 - by], self.items[:, by]))]
        change = np.diff(items[:, by]) != 0
        edges = np.append(True, change) + 2 * np.append(change, True)
        packed = edges + (items << (EDGE_BITS, EDGE_BITS + BLOCK_BITS)).sum(1)
        return packed.astype(np.int32)


def unpacked(item):
    """A packed item's block of queries and block of keys, and whether a run of equal blocks of what it was packed by
    begins and ends with it: integers 0 or 1."""
    query, key = ((item >> EDGE_BITS + at * BLOCK_BITS) & (2**BLOCK_BITS - 1) for at in (0, 1))
    return query, key, item & 1, (item >> 1) & 1


@functools.lru_cache(maxsize=128)
def aligned(tiling: Tiling, queries: int, keys: int) -> Blocks:
    """The cheapest blocks that cover a tiling of so many slots of queries and of keys."""
    tiles, starts = np.asarray(tiling.slices(), np.int64).reshape(-1, 2).T
    finest = _touched(tiling, tiles, starts, queries, keys)
    best = None
    for query_block in SIZES:
        for key_block in SIZES:
            needed = _merged(finest, query_block // SIZES[0], key_block // SIZES[0])
            needed[~needed.any(1), 0] = True  # a block that sees nothing, or is not seen, has its zeros to write
            needed[0, ~needed.any(0)] = True
            items = int(needed.sum())
            rank = max(items, MOST_ITEMS), items * (query_block * key_block + PER_STEP)
            if best is None or rank < best[0]:
                best = rank, query_block, key_block, needed
    _, query_block, key_block, needed = best
    rows, columns = needed.shape
    reach = np.zeros((2, tiling.tiles), np.int64)
    reach[0, tiles] = keys
    np.minimum.at(reach[0], tiles, np.maximum(starts, 0))
    np.maximum.at(reach[1], tiles, starts + tiling.key_tile)
    reach = np.repeat(reach, tiling.query_tile, axis=1)[:, :queries]
    reach = np.pad(reach, ((0, 0), (0, rows * query_block - reach.shape[1])))
    return Blocks(
        query_block=query_block,
        key_block=key_block,
        queries=rows * query_block,
        keys=columns * key_block,
        items=np.argwhere(needed).astype(np.int32),
        reach=reach.astype(np.int32),
    )


def _touched(tiling: Tiling, tiles, starts, queries: int, keys: int) -> np.ndarray:
    """Which of the smallest blocks a slice of some tile touches: booleans [query blocks, key blocks]."""
    size = SIZES[0]
    rows, columns = -(-queries // size), -(-keys // size)
    first, last = tiles * tiling.query_tile // size, -(-(tiles + 1) * tiling.query_tile // size)
    low, high = np.maximum(starts, 0), np.clip(starts + tiling.key_tile, 0, keys)
    begin, end = low // size, -(-high // size)
    first, last, end = (np.minimum(x, most) for x, most in ((first, rows), (last, rows), (end, columns)))
    begin = np.minimum(begin, end)
    corners = np.zeros((rows + 1, columns + 1), np.int32)  # whose sums over both axes count the slices of each block
    for row, column, sign in ((first, begin, 1), (first, end, -1), (last, begin, -1), (last, end, 1)):
        np.add.at(corners, (row, column), sign)
    return corners.cumsum(0).cumsum(1)[:rows, :columns] > 0


def _merged(blocks: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Blocks of so many rows and columns as one."""
    padded = np.pad(blocks, [(0, -size % count) for size, count in zip(blocks.shape, (rows, columns))])
    split = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return split.any((1, 3))
