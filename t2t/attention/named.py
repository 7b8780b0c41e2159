"""The patterns of the literature by name. Each function says which pairs (i, j) of a query and a key meet."""

from collections.abc import Callable, Sequence

import numpy as np

from t2t.attention.atoms import (
    Bidirectional,
    Blocks,
    BlockTable,
    Causal,
    FirstKeys,
    FirstQueries,
    Fixed,
    Global,
    Local,
    Strided,
    Summaries,
    Where,
    at_least_one,
)
from t2t.attention.pattern import Or, Pattern


def bidirectional() -> Pattern:
    """Everyone sees everyone."""
    return Bidirectional()


def causal() -> Pattern:
    """A query sees itself and what came before: j ≤ i."""
    return Causal()


def prefix(count: int) -> Pattern:
    """Causal, but for the first `count` positions, which everyone sees: j ≤ i or j < count (prefix LM)."""
    return Or(Causal(), FirstKeys(count))


def local(window: int, after: int | None = None) -> Pattern:
    """What is less than `window` positions away, on both sides: |i − j| < window.

    With `after`, the two sides differ: i − j < window and j − i < after.
    """
    return Local(window, after)


def dilated(window: int, gap: int) -> Pattern:
    """A local window of every gap-th position: (i − j) mod gap = 0 and |i − j| < window · gap (Beltagy et al. 2020)."""
    at_least_one("dilated", window=window, gap=gap)
    return Strided(gap) & Local((window - 1) * gap + 1)


def strided(stride: int) -> Pattern:
    """Every stride-th position: (i − j) mod stride = 0 (Child et al. 2019, section 4.3; an image's column)."""
    return Strided(stride)


def blocks(length: int) -> Pattern:
    """The same block of `length`: ⌊i / length⌋ = ⌊j / length⌋ (block-diagonal attention; an image's row)."""
    return Blocks(length)


def summaries(length: int, count: int) -> Pattern:
    """Keys that are among the last `count` of their block: j mod length ≥ length − count."""
    return Summaries(length, count)


def fixed(length: int, count: int) -> Pattern:
    """The same block of `length`, or j among the last `count` of its block (Child et al. 2019, section 4.3)."""
    return Fixed(length, count)


def global_tokens(count: int) -> Pattern:
    """i or j among the first `count` (Longformer's and BigBird's global tokens)."""
    return Global(count)


def first_queries(count: int) -> Pattern:
    """i among the first `count`: these see everyone."""
    return FirstQueries(count)


def first_keys(count: int) -> Pattern:
    """j among the first `count`: everyone sees these."""
    return FirstKeys(count)


def block_table(length: int, table: Sequence[Sequence[int]]) -> Pattern:
    """Block ⌊i / length⌋ of queries sees the blocks of keys in its row of `table`."""
    return BlockTable(length, tuple(tuple(row) for row in table))


def random_blocks(length: int, count: int, n: int, seed: int = 0) -> Pattern:
    """Each block of `length` queries sees `count` blocks of keys drawn at random from the ⌈n / length⌉ there are, as in
    BigBird (Zaheer et al. 2020, section 2). Equal arguments draw equal blocks."""
    at_least_one("random_blocks", length=length, count=count, n=n)
    total = -(-n // length)
    if count > total:
        raise ValueError(f"random_blocks: {n} positions have {total} blocks of {length}, found count {count}.")
    generator = np.random.default_rng(seed)
    return BlockTable(length, tuple(tuple(sorted(generator.permutation(total)[:count])) for _ in range(total)))


def big_bird(length: int, n: int, *, random: int = 3, ends: int = 2, seed: int = 0) -> Pattern:
    """BigBird's pattern of blocks (Zaheer et al. 2020, section 2 and appendix D): each block sees itself and its two
    neighbours and `random` others; the first and last blocks, `ends` in all, see and are seen by everyone."""
    total = -(-n // length)
    first, last = -(-ends // 2), ends // 2
    everyone = set(range(first)) | set(range(total - last, total))
    near = [{a for a in (i - 1, i, i + 1) if 0 <= a < total} for i in range(total)]
    generator, table = np.random.default_rng(seed), []
    for i in range(total):
        others = sorted(set(range(total)) - near[i] - everyone)
        drawn = generator.permutation(others)[:random].tolist() if others else []
        table.append(range(total) if i in everyone else sorted(near[i] | everyone | set(drawn)))
    return block_table(length, table)


def where(predicate: Callable) -> Pattern:
    """A predicate of your own: `where(lambda i, j: (i - j) % 3 == 0)`. It is called with integer arrays, NumPy or JAX,
    that broadcast together, and equals only patterns of the very same function."""
    return Where(predicate)
