"""Plans for devices with attention kernels of their own: pieces of a pattern that come down to a few dense calls.

A window on both sides is two calls, one of them with the sequence backwards. Columns and blocks are folded into the
batch. Strictly causal columns lose the first query and the last key. The summaries of the blocks before a query's own
make a staircase, which is half a square and two staircases of half the size. What little is left stays with the
portable kernels. All of this is NumPy at trace time.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from t2t.attention.atoms import Bidirectional, Blocks, Causal, Local, Strided
from t2t.attention.calls import Call, Span, whole
from t2t.attention.order import BlockEnds, Columns, First, Order
from t2t.attention.pattern import And, Not, Or, Pattern
from t2t.attention.plan import Piece, by_terms, plan, simplify
from t2t.attention.tiling import tile

SHORTEST = 32  # queries or keys of a group below which the tiles of a dense kernel are mostly empty
MOST_CALLS = 4  # for the runs of distances that meet
BLOCK = 128  # the tiles of dense kernels, of which blocks with a bias are multiples
MANY_BLOCKS = 8  # below which their calls cost more than a bias for each pair

Part = Call | Piece


@functools.lru_cache(maxsize=512)
def candidates(pattern: Pattern, n: int, m: int) -> tuple[tuple[Piece, tuple[Part, ...] | None], ...]:
    """The pieces of a pattern, each with the dense calls that it comes down to and what they leave; None where it does
    not."""
    return tuple((piece, _parts(piece)) for piece in by_terms(pattern, n, m))


def dense_plan(pattern: Pattern, n: int, m: int, usable: Callable[[Call], bool]) -> tuple[Part, ...]:
    """The plan of a pattern with dense calls where `usable` says that the device has a kernel for them.

    As with `plan`, its parts hold each pair that the pattern allows exactly once. It is that of `plan` where nothing
    comes down to dense calls, or so little that the rest costs as much as the whole.
    """
    parts: list[Part] = []
    for piece, found in candidates(pattern, n, m):
        fine = found is not None and all(usable(part) for part in found if isinstance(part, Call))
        parts += found if fine else [piece]
    portable = plan(pattern, n, m)
    left = sum(part.tiling.cost for part in parts if isinstance(part, Piece))
    return tuple(parts) if left < sum(piece.tiling.cost for piece in portable) else portable


def near_and_far(pattern: Pattern, n: int, reach: int) -> tuple[Call, ...] | None:
    """Causal or full attention as calls of blocks, in each of which a bias of the distance alone is the same small
    array, and calls that are `reach` positions or more off the diagonal, where it no longer changes. None for other
    patterns, and where the blocks would be much of the sequence.

    Block by block a query sees its own block and, of the ones beside, what is no farther than a block is long.
    """
    block, both = -(-reach // BLOCK) * BLOCK, isinstance(pattern, Bidirectional)
    if not (both or isinstance(pattern, Causal)) or n < MANY_BLOCKS * block or (both and n % block):
        return None
    blocks = -(-n // block)
    own = Span(n, Order(n), block, blocks, 0, block)
    early = dataclasses.replace(own, count=blocks - 1)
    late = dataclasses.replace(early, base=Span(n, Order(n), n, 1, block, n))
    far, farther = Span(n, Order(n), n, 1, 0, n - block - 1), Span(n, Order(n), n, 1, block + 1, n)

    def backwards(queries, keys):
        return Call(*(dataclasses.replace(span, backwards=True) for span in (queries, keys)), True)

    calls = Call(own, own, not both), backwards(late, early), Call(farther, far, True)
    return (*calls, Call(early, late, True), backwards(far, farther)) if both else calls


def _parts(piece: Piece) -> tuple[Part, ...] | None:
    queries, keys, pattern = piece.queries, piece.keys, piece.pattern
    if isinstance(queries, Columns):
        found = _columns(pattern, queries)
    elif isinstance(keys, BlockEnds):
        found = _summaries(pattern, queries.n, keys)
    elif isinstance(queries, First) or isinstance(keys, First):
        found = _strip(piece)
    else:
        found = _sequence(pattern, queries.n, keys.n)
    calls = [part for part in found or () if isinstance(part, Call)]
    long = all(min(call.queries.width, call.keys.width) >= SHORTEST for call in calls)
    return tuple(found) if calls and long else None


def _sequence(pattern: Pattern, n: int, m: int) -> list[Part] | None:
    """The sequence as it is, or its blocks."""
    if n != m:
        return [Call(whole(n), whole(m))] if isinstance(pattern, Bidirectional) else None
    factors = list(_factors(pattern))
    lengths = {min(factor.length, n) for factor in factors if isinstance(factor, Blocks)} or {n}
    if len(lengths) > 1:
        return None
    (length,) = lengths
    rest = functools.reduce(And, [f for f in factors if not isinstance(f, Blocks)] or [Bidirectional()])
    return _by_distance(rest, Span(n, Order(n), length, -(-n // length), 0, length), 1)


def _columns(pattern: Pattern, order: Columns) -> list[Part] | None:
    """The columns of a strided pattern."""

    def within(p):
        """In a column, a block that is no longer than the stride holds one position."""
        if isinstance(p, Blocks) and p.length <= order.stride:
            return Local(1)
        if isinstance(p, Not):
            return Not(within(p.pattern))
        return type(p)(within(p.left), within(p.right)) if isinstance(p, (And, Or)) else p

    slots = len(order.positions) // order.stride
    column = Span(order.n, order, slots, order.stride, 0, -(-order.n // order.stride))
    return _by_distance(within(simplify(pattern, Strided(order.stride))), column, order.stride)


def _by_distance(pattern: Pattern, group: Span, step: int) -> list[Part] | None:
    """Calls for pairs of a group that meet or not by their distance: one for each run of distances that do.

    Args:
      group: the groups, whole.
      step: how far apart the positions of neighbouring slots are.
    """
    if not pattern.shift_invariant:
        return None
    far = group.width - 1
    distances = np.arange(-far, far + 1)
    allowed = pattern.allows((distances + far) * step, np.asarray(far * step))
    edges = np.flatnonzero(np.diff(np.broadcast_to(allowed, distances.shape).astype(int), prepend=0, append=0)) - far
    calls = []
    for low, high in zip(edges[::2].tolist(), (edges[1::2] - 1).tolist()):
        if (low, high) == (-far, far):
            return [Call(group, group)]
        # What is before the query, and what is after: the same, backwards.
        for nearest, farthest, backwards in ((max(low, 0), high, False), (max(-high, 1), -low, True)):
            if nearest > farthest:
                continue
            late = dataclasses.replace(group, start=nearest, backwards=backwards)
            early = dataclasses.replace(group, stop=group.stop - nearest, backwards=backwards)
            window = farthest - nearest + 1 if farthest < far else None
            calls.append(Call(*((early, late) if backwards else (late, early)), True, window))
    uneven = (group.positions < 0).any()  # backwards, empty slots would come first
    if len(calls) > MOST_CALLS or (uneven and any(call.keys.backwards for call in calls)):
        return None
    return calls


def _summaries(pattern: Pattern, n: int, ends: BlockEnds) -> list[Part] | None:
    """Queries over the last positions of other blocks, or of all."""
    length, few, others = ends.length, ends.count, Not(Blocks(ends.length))
    blocks, factors = -(-n // length), set(_factors(pattern))
    if factors == {Bidirectional()}:
        real = int((ends.positions >= 0).sum())
        return [Call(whole(n), Span(ends.n, ends, real, 1, 0, real))]
    if not factors <= {Causal(), others} or n != ends.n or (Causal() not in factors and n % length):
        return None
    calls = list(_staircase(n, ends, blocks, below=True))
    if Causal() not in factors:
        calls += _staircase(n, ends, blocks, below=False)
    elif others not in factors:  # the last positions of each block over themselves
        last = Span(n, Order(n), length, blocks, length - few, length)
        calls.append(Call(last, Span(n, ends, few, blocks, 0, few), True))
    return calls


def _staircase(n: int, ends: BlockEnds, blocks: int, below: bool) -> Iterator[Call]:
    """Queries of each block over the summaries of all blocks before (or after) it: of every two neighbouring runs of
    1, 2, 4 … blocks one sees all of the other."""

    def call(run: int, count: int, late: tuple[int, int], early: tuple[int, int]) -> Call:
        (start, stop), (first, last) = (late, early) if below else (early, late)
        length, few = ends.length, ends.count
        return Call(
            Span(n, Order(n), run * length, count, start * length, stop * length),
            Span(n, ends, run * few, count, first * few, last * few),
        )

    run = 1
    while run < blocks:
        pairs = blocks // (2 * run)
        if pairs:
            yield call(2 * run, pairs, (run, 2 * run), (0, run))
        middle = 2 * run * pairs + run
        if middle < blocks:  # the second run of the last pair is shorter
            yield call(blocks, 1, (middle, blocks), (middle - run, middle))
        run *= 2


def _strip(piece: Piece) -> list[Part] | None:
    """All queries over the first few keys, or the first few queries over all keys: dense but for the nearest ones."""
    queries, keys, pattern = piece.queries, piece.keys, piece.pattern
    if isinstance(queries, First) and isinstance(keys, First):
        return None
    upright = isinstance(keys, First)
    (many, few) = (queries.n, min(keys.count, keys.n)) if upright else (keys.n, min(queries.count, queries.n))
    pairs = np.arange(many)[:, None], np.arange(few)
    allowed = np.broadcast_to(pattern.allows(*(pairs if upright else pairs[::-1])), (many, few))
    if pattern.shift_invariant and not allowed[few:].any() and queries.n == keys.n:  # all within the first few
        return _by_distance(pattern, Span(many, Order(many), few, 1, 0, few), 1)
    near = int(np.flatnonzero(~allowed.all(1)).max(initial=-1)) + 1
    if 2 * near > many:
        return None
    far = Span(many, Order(many), many, 1, near, many)
    if upright:
        call, queries = Call(far, Span(keys.n, Order(keys.n), keys.n, 1, 0, few)), First(many, near)
    else:
        call, keys = Call(Span(queries.n, Order(queries.n), queries.n, 1, 0, few), far), First(many, near)
    rest = Piece(pattern, queries, keys, tile(pattern, queries, keys)) if near else None
    return [call, rest] if rest is not None and rest.tiling.items else [call]


def _factors(pattern: Pattern) -> Iterator[Pattern]:
    """What must all hold."""
    if isinstance(pattern, And):
        yield from _factors(pattern.left)
        yield from _factors(pattern.right)
    else:
        yield pattern
