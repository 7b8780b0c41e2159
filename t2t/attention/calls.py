"""Plans for devices with attention kernels of their own: pieces that come down to a few *dense* calls, each of whole
groups of positions, with no mask but causality and a window, which such kernels know.

A window on both sides is two calls, one of them with the sequence backwards. Columns and blocks are folded into the
batch. Strictly causal columns lose the first query and the last key. The summaries of the blocks before a query's own
make a staircase, which is half a square and two staircases of half the size. What little is left stays with the
portable kernels. All of this is NumPy at trace time.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from t2t.attention.named import Bidirectional, Blocks, Causal, Local, Strided
from t2t.attention.order import BlockEnds, Columns, First, Order
from t2t.attention.pattern import And, Not, Or, Pattern
from t2t.attention.plan import Piece, by_terms, plan, simplify
from t2t.attention.tiling import tile

SHORTEST = 32  # queries or keys of a group below which the tiles of a dense kernel are mostly empty
MOST_RUNS = 4  # of distances that meet, each of which is a call


@dataclasses.dataclass(frozen=True)
class Span(Order):
    """A stretch of each group of another order's slots, group after group.

    Attributes:
      base: the other order.
      length: slots of a group; the last one may be short.
      count: how many groups there are.
      start, stop: the stretch, in slots of a group.
      backwards: whether it is laid out from its end to its start.
    """

    base: Order
    length: int
    count: int
    start: int
    stop: int
    backwards: bool = False

    @property
    def width(self) -> int:
        """Slots of a stretch."""
        return self.stop - self.start

    @property
    def positions(self):
        return np.asarray(self.lay(np.arange(self.n)[None], -1))[0]

    def lay(self, x, fill=0):
        x = _fit(self.base.lay(x, fill), self.count * self.length, fill)
        b, rest = x.shape[0], x.shape[2:]
        x = x.reshape(b, self.count, self.length, *rest)[:, :, self.start : self.stop]
        return (x[:, :, ::-1] if self.backwards else x).reshape(b, self.count * self.width, *rest)

    def undo(self, x, fill=0):
        b, rest = x.shape[0], x.shape[2:]
        x = x.reshape(b, self.count, self.width, *rest)
        x = x[:, :, ::-1] if self.backwards else x
        x = _widen(x, 2, self.start, self.length - self.stop, fill).reshape(b, self.count * self.length, *rest)
        return self.base.undo(_fit(x, len(self.base.positions), fill), fill)


@dataclasses.dataclass(frozen=True)
class Call:
    """Dense attention of each group of queries over its group of keys.

    Attributes:
      queries, keys: how positions are laid out, in equally many groups.
      causal: whether a query sees no key in a later slot of its group.
      window: how many slots back it sees, its own counted, where it does not see all.
    """

    queries: Span
    keys: Span
    causal: bool = False
    window: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it is of all queries and all keys as they are."""
        return all(s == _all(s.n) for s in (self.queries, self.keys))

    @functools.cached_property
    def key_lengths(self) -> np.ndarray | None:
        """How many slots of each group hold keys, int32 [count], where some do not and queries would see it.

        Slots of keys that are empty come last, and under causality only queries in empty slots come after them.
        """
        real = (self.keys.positions >= 0).reshape(self.keys.count, -1)
        return None if self.causal or real.all() else real.sum(1).astype(np.int32)


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


def _parts(piece: Piece) -> tuple[Part, ...] | None:
    queries, keys = piece.queries, piece.keys
    if isinstance(queries, Columns):
        found = _columns(piece.pattern, queries)
    elif isinstance(keys, BlockEnds):
        found = _summaries(piece.pattern, queries.n, keys)
    elif isinstance(queries, First) or isinstance(keys, First):
        found = _strip(piece)
    else:
        found = _sequence(piece.pattern, queries.n, keys.n)
    if found is None or any(min(_widths(part)) < SHORTEST for part in found if isinstance(part, Call)):
        return None
    return tuple(found) if any(isinstance(part, Call) for part in found) else None


def _widths(call: Call) -> tuple[int, int]:
    return call.queries.width, call.keys.width


def _sequence(pattern: Pattern, n: int, m: int) -> list[Part] | None:
    """The sequence as it is, or its blocks."""
    factors = list(_factors(pattern))
    lengths = {factor.length for factor in factors if isinstance(factor, Blocks)}
    if not lengths:
        return _by_distance(pattern, 1, Order(n), n) if n == m else _rectangle(pattern, n, m)
    if len(lengths) > 1 or n != m:
        return None
    (length,) = lengths
    rest = functools.reduce(And, [f for f in factors if not isinstance(f, Blocks)] or [Bidirectional()])
    return _by_distance(rest, 1, Order(n), min(length, n))


def _rectangle(pattern: Pattern, n: int, m: int) -> list[Part] | None:
    return [Call(_all(n), _all(m))] if isinstance(pattern, Bidirectional) else None


def _columns(pattern: Pattern, order: Columns) -> list[Part] | None:
    """The columns of a strided pattern."""

    def within(p):
        """In a column, at most one position is in a block that is no longer than the stride."""
        if isinstance(p, Blocks) and p.length <= order.stride:
            return Local(1)
        if isinstance(p, Not):
            return Not(within(p.pattern))
        return type(p)(within(p.left), within(p.right)) if isinstance(p, (And, Or)) else p

    pattern = within(simplify(pattern, Strided(order.stride)))
    return _by_distance(pattern, order.stride, order, len(order.positions) // order.stride)


def _by_distance(pattern: Pattern, step: int, base: Order, length: int) -> list[Part] | None:
    """Calls for pairs of one group that meet or not by their distance: one for each run of distances that do.

    Args:
      step: how far apart the positions of neighbouring slots are.
      length: slots of a group.
    """
    if not pattern.shift_invariant:
        return None
    count = -(-len(base.positions) // length) if isinstance(base, Columns) else -(-base.n // length)
    rows = -(-base.n // step) if isinstance(base, Columns) else length
    even = base.n % (step if isinstance(base, Columns) else length) == 0
    far = rows - 1
    distances = np.arange(-far, far + 1) * step
    allowed = np.broadcast_to(pattern.allows(distances + far * step, np.asarray(far * step)), distances.shape)
    edges = np.flatnonzero(np.diff(allowed.astype(int), prepend=0, append=0)) - far
    runs = list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist()))
    span = functools.partial(Span, base.n, base, length, count)
    if runs == [(-far, far)]:
        return [Call(span(0, rows), span(0, rows))]
    calls = []
    for low, high in runs:
        nearest, farthest = max(low, 0), high
        if nearest <= farthest:  # keys before the query
            window = farthest - nearest + 1 if farthest < far else None
            calls.append(Call(span(nearest, rows), span(0, rows - nearest), True, window))
        nearest, farthest = max(-high, 1), -low
        if nearest <= farthest:  # and after: the same, backwards
            window = farthest - nearest + 1 if farthest < far else None
            calls.append(Call(span(0, rows - nearest, True), span(nearest, rows, True), True, window))
    if len(calls) > MOST_RUNS or (not even and any(call.keys.backwards for call in calls)):
        return None
    return calls


def _summaries(pattern: Pattern, n: int, ends: BlockEnds) -> list[Part] | None:
    """Queries over the last positions of other blocks, or of all."""
    length, few = ends.length, ends.count
    blocks, others = -(-n // length), Not(Blocks(length))
    factors = set(_factors(pattern))
    if factors == {Bidirectional()}:
        real = int((ends.positions >= 0).sum())
        return [Call(_all(n), Span(ends.n, ends, real, 1, 0, real))]
    if not factors <= {Causal(), others} or n != ends.n or (Causal() not in factors and n % length):
        return None
    calls = list(_staircase(n, ends, blocks, below=True))
    if Causal() not in factors:
        calls += _staircase(n, ends, blocks, below=False)
    elif others not in factors:  # the last positions of a block over themselves
        own = Span(n, Order(n), length, blocks, length - few, length)
        calls.append(Call(own, Span(n, ends, few, blocks, 0, few), True))
    return calls


def _staircase(n: int, ends: BlockEnds, blocks: int, below: bool) -> Iterator[Call]:
    """Queries of each block over the summaries of all blocks before (or after) it, as squares: in every pair of
    neighbouring runs of 1, 2, 4 … blocks one run sees the other."""
    length, few = ends.length, ends.count
    run = 1
    while run < blocks:
        halves = ((run, 2 * run), (0, run)) if below else ((0, run), (run, 2 * run))
        pairs = blocks // (2 * run)
        if pairs:
            (start, stop), (first, last) = halves
            yield Call(
                Span(n, Order(n), 2 * run * length, pairs, start * length, stop * length),
                Span(n, ends, 2 * run * few, pairs, first * few, last * few),
            )
        done = 2 * run * pairs
        if done + run < blocks:  # a last pair whose second run is shorter
            (start, stop), (first, last) = (
                tuple(min(done + at, blocks) for at in half) for half in halves
            )
            yield Call(
                Span(n, Order(n), blocks * length, 1, start * length, stop * length),
                Span(n, ends, blocks * few, 1, first * few, last * few),
            )
        run *= 2


def _strip(piece: Piece) -> list[Part] | None:
    """All queries over the first few keys, or the first few queries over all keys: dense but for the nearest ones."""
    queries, keys, pattern = piece.queries, piece.keys, piece.pattern
    upright = isinstance(keys, First)
    few = min((keys if upright else queries).count, (keys if upright else queries).n)
    many = (queries if upright else keys).n
    allowed = pattern.allows(*((np.arange(many)[:, None], np.arange(few)) if upright else (np.arange(few), np.arange(many)[:, None])))
    lacking = np.flatnonzero(~np.broadcast_to(allowed, (many, few)).all(1))
    near = int(lacking.max(initial=-1)) + 1
    if isinstance(queries, First) and isinstance(keys, First) or 2 * near > many:
        return None
    long, short = Span(many, Order(many), many, 1, near, many), Span((keys if upright else queries).n, Order((keys if upright else queries).n), few, 1, 0, few)
    call = Call(long, short) if upright else Call(short, long)
    if not near:
        return [call]
    queries, keys = (First(many, near), keys) if upright else (queries, First(many, near))
    rest = Piece(pattern, queries, keys, tile(pattern, queries, keys))
    return [call, rest] if rest.tiling.items else [call]


def _all(n: int) -> Span:
    """All positions as they are."""
    return Span(n, Order(n), n, 1, 0, n)


def _factors(pattern: Pattern) -> Iterator[Pattern]:
    """What must all hold."""
    if isinstance(pattern, And):
        yield from _factors(pattern.left)
        yield from _factors(pattern.right)
    else:
        yield pattern


def _fit(x, slots: int, fill):
    """Axis 1 cut or widened to so many slots."""
    return x[:, :slots] if x.shape[1] >= slots else _widen(x, 1, 0, slots - x.shape[1], fill)


def _widen(x, axis: int, before: int, behind: int, fill):
    import jax.numpy as jnp

    xp = np if isinstance(x, np.ndarray) else jnp
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, behind)
    return xp.pad(x, widths, constant_values=fill) if before or behind else x
