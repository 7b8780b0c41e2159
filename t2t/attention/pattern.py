"""Who may look at whom, as a value, and the algebra of such values.

A `Pattern` says for a query position i and a key position j whether they may meet. It is a small frozen dataclass:
equal patterns are equal values, hash alike and share one compiled program. `&`, `|` and `~` compose them:

    causal() & (local(128) | strided(128))     # the Sparse Transformer's strided pattern

Padding and packing are not patterns: they are arrays (segments), and apply on top of any pattern.
"""

import dataclasses
from typing import Any

import numpy as np

Bounds = tuple[Any, Any]  # of a rectangle of pairs: whether some pair may meet, whether every pair does


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The base of all patterns. A new one defines `allows`; the rest makes it faster.

    Attributes:
      shift_invariant: whether only the distance i − j counts, so that a packed document needs no positions of its own.
    """

    shift_invariant = False

    def allows(self, query_positions, key_positions):
        """Whether the pairs may meet, elementwise.

        Args:
          query_positions, key_positions: integers, NumPy or JAX, of shapes that broadcast together.

        Returns:
          Booleans of the broadcast shape.
        """
        raise TypeError(f"{type(self).__name__} is no pattern by itself: use causal(), bidirectional(), local(w) …")

    def bounds(self, query_low, query_high, key_low, key_high) -> Bounds | None:
        """What is known of all pairs with query_low ≤ i ≤ query_high and key_low ≤ j ≤ key_high, elementwise.

        Returns:
          Booleans (some, every) that may err on one side: `some` true though no pair meets, `every` false though all
          do. None where nothing can be said without looking at the pairs.
        """
        return None

    def expand(self) -> "Pattern":
        """The same pattern in simpler ones, where it is made of some."""
        return self

    def kept(self, positions: np.ndarray) -> tuple[int, np.ndarray]:
        """What a cache must hold, as (window, lasting): no query sees a key that is `window` or more before it, but for
        keys at positions where `lasting` is true."""
        return 0, np.ones(len(positions), bool)

    def mask(self, n: int, m: int | None = None) -> np.ndarray:
        """The pattern for n queries and m keys (m = n if not given), both from position 0, as booleans [n m]."""
        m = n if m is None else m
        return np.broadcast_to(self.allows(np.arange(n)[:, None], np.arange(m)[None, :]), (n, m))

    def cost(self, n: int, m: int | None = None) -> "Any":
        """What attention of n queries to m keys costs under this pattern: see `t2t.attention.cost.Cost`."""
        from t2t.attention.cost import cost

        return cost(self, n, n if m is None else m)

    def __and__(self, other: "Pattern") -> "Pattern":
        return And(self, other) if isinstance(other, Pattern) else NotImplemented

    def __or__(self, other: "Pattern") -> "Pattern":
        return Or(self, other) if isinstance(other, Pattern) else NotImplemented

    def __invert__(self) -> "Pattern":
        return Not(self)


@dataclasses.dataclass(frozen=True)
class And(Pattern):
    """Both allow the pair."""

    left: Pattern
    right: Pattern

    @property
    def shift_invariant(self):
        return self.left.shift_invariant and self.right.shift_invariant

    def allows(self, query_positions, key_positions):
        return self.left.allows(query_positions, key_positions) & self.right.allows(query_positions, key_positions)

    def bounds(self, *rectangle):
        left, right = self.left.bounds(*rectangle), self.right.bounds(*rectangle)
        if left is None or right is None:  # the one that is known may still rule pairs out
            known = left or right
            return None if known is None else (known[0], known[1] & False)
        return left[0] & right[0], left[1] & right[1]

    def expand(self):
        return And(self.left.expand(), self.right.expand())

    def kept(self, positions):
        (left, left_lasting), (right, right_lasting) = self.left.kept(positions), self.right.kept(positions)
        if not left_lasting.any() or not right_lasting.any():
            ends = [window for window, lasting in ((left, left_lasting), (right, right_lasting)) if not lasting.any()]
            return min(ends), left_lasting & False
        return max(left, right), left_lasting & right_lasting

    def __repr__(self):
        return f"({self.left!r} & {self.right!r})"


@dataclasses.dataclass(frozen=True)
class Or(Pattern):
    """Either allows the pair."""

    left: Pattern
    right: Pattern

    @property
    def shift_invariant(self):
        return self.left.shift_invariant and self.right.shift_invariant

    def allows(self, query_positions, key_positions):
        return self.left.allows(query_positions, key_positions) | self.right.allows(query_positions, key_positions)

    def bounds(self, *rectangle):
        left, right = self.left.bounds(*rectangle), self.right.bounds(*rectangle)
        if left is None or right is None:
            known = left or right
            return None if known is None else (known[0] | True, known[1])
        return left[0] | right[0], left[1] | right[1]

    def expand(self):
        return Or(self.left.expand(), self.right.expand())

    def kept(self, positions):
        (left, left_lasting), (right, right_lasting) = self.left.kept(positions), self.right.kept(positions)
        return max(left, right), left_lasting | right_lasting

    def __repr__(self):
        return f"({self.left!r} | {self.right!r})"


@dataclasses.dataclass(frozen=True)
class Not(Pattern):
    """The pattern does not allow the pair."""

    pattern: Pattern

    @property
    def shift_invariant(self):
        return self.pattern.shift_invariant

    def allows(self, query_positions, key_positions):
        return ~self.pattern.allows(query_positions, key_positions)

    def bounds(self, *rectangle):
        inner = self.pattern.bounds(*rectangle)
        return None if inner is None else (~inner[1], ~inner[0])

    def expand(self):
        """Negation pushed inwards, so that what is left is negated atoms (De Morgan)."""
        inner = self.pattern.expand()
        if isinstance(inner, Not):
            return inner.pattern
        if isinstance(inner, And):
            return Or(Not(inner.left).expand(), Not(inner.right).expand())
        if isinstance(inner, Or):
            return And(Not(inner.left).expand(), Not(inner.right).expand())
        return Not(inner)

    def __repr__(self):
        return f"~{self.pattern!r}"
