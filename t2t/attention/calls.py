"""A dense call: attention of groups of queries over groups of keys with no mask but causality and a window, which the
attention kernels of devices know."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from t2t.attention.order import Order


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
        return all(s == whole(s.n) for s in (self.queries, self.keys))

    @functools.cached_property
    def key_lengths(self) -> np.ndarray | None:
        """How many slots of each group hold keys, int32 [count], where some do not and queries would see it.

        Slots of keys that are empty come last, and under causality only queries in empty slots come after them.
        """
        real = (self.keys.positions >= 0).reshape(self.keys.count, -1)
        return None if self.causal or real.all() else real.sum(1).astype(np.int32)

    @functools.cached_property
    def alike(self) -> bool:
        """Whether queries stand as far from their keys in all groups."""
        begins = self.keys.positions.reshape(self.keys.count, -1)[:, :1]
        for span in (self.queries, self.keys):
            positions = span.positions.reshape(span.count, -1)
            away = positions - begins
            if (positions[0] < 0).any() or ((away != away[0]) & (positions >= 0)).any():
                return False
        return True

    def beyond(self, distance: int) -> bool:
        """Whether no key is less than `distance` positions away from a query that sees it, all on one side."""
        nearest = int(self.queries.positions[0] - self.keys.positions[0])
        return self.causal and self.alike and (-nearest if self.keys.backwards else nearest) >= distance


def whole(n: int) -> Span:
    """All positions as they are."""
    return Span(n, Order(n), n, 1, 0, n)


def _fit(x, slots: int, fill):
    """Axis 1 cut or widened to so many slots."""
    return x[:, :slots] if x.shape[1] >= slots else _widen(x, 1, 0, slots - x.shape[1], fill)


def _widen(x, axis: int, before: int, behind: int, fill):
    xp = np if isinstance(x, np.ndarray) else jnp
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, behind)
    return xp.pad(x, widths, constant_values=fill) if before or behind else x
