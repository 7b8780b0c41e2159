"""Who may look at whom, as a value.

A `Pattern` says for a query position i and a key position j whether they may meet. It is a small frozen dataclass:
equal patterns are equal values, hash alike and share one compiled program. `&`, `|` and `~` compose them:

    causal() & local(256)          # a causal window of 256

Padding and packing are not patterns: they are arrays (segments), and apply on top of any pattern.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The base of all patterns. Subclasses define `allows`."""

    def allows(self, query_positions, key_positions):
        """Whether the pairs may meet, elementwise.

        Args:
          query_positions, key_positions: integers, NumPy or JAX, of shapes that broadcast together.

        Returns:
          Booleans of the broadcast shape.
        """
        raise TypeError(f"{type(self).__name__} is no pattern by itself: use causal(), bidirectional(), local(w) …")

    def mask(self, n: int, m: int | None = None) -> np.ndarray:
        """The pattern for n queries and m keys (m = n if not given), both from position 0, as booleans [n m]."""
        return np.broadcast_to(
            self.allows(np.arange(n)[:, None], np.arange(n if m is None else m)[None, :]), (n, n if m is None else m)
        )

    def __and__(self, other: "Pattern") -> "Pattern":
        return And(self, other)

    def __or__(self, other: "Pattern") -> "Pattern":
        return Or(self, other)

    def __invert__(self) -> "Pattern":
        return Not(self)


@dataclasses.dataclass(frozen=True)
class Bidirectional(Pattern):
    """Everyone sees everyone."""

    def allows(self, query_positions, key_positions):
        return query_positions * 0 + key_positions * 0 == 0

    def __repr__(self):
        return "bidirectional()"


@dataclasses.dataclass(frozen=True)
class Causal(Pattern):
    """j ≤ i."""

    def allows(self, query_positions, key_positions):
        return key_positions <= query_positions

    def __repr__(self):
        return "causal()"


@dataclasses.dataclass(frozen=True)
class Local(Pattern):
    """|i − j| < window."""

    window: int

    def __post_init__(self):
        if self.window < 1:
            raise ValueError(f"local(window): expected at least 1 (a position sees itself), found {self.window}.")

    def allows(self, query_positions, key_positions):
        distance = query_positions - key_positions
        return (distance < self.window) & (distance > -self.window)

    def __repr__(self):
        return f"local({self.window})"


@dataclasses.dataclass(frozen=True)
class And(Pattern):
    """Both allow the pair."""

    left: Pattern
    right: Pattern

    def allows(self, query_positions, key_positions):
        return self.left.allows(query_positions, key_positions) & self.right.allows(query_positions, key_positions)

    def __repr__(self):
        return f"({self.left!r} & {self.right!r})"


@dataclasses.dataclass(frozen=True)
class Or(Pattern):
    """Either allows the pair."""

    left: Pattern
    right: Pattern

    def allows(self, query_positions, key_positions):
        return self.left.allows(query_positions, key_positions) | self.right.allows(query_positions, key_positions)

    def __repr__(self):
        return f"({self.left!r} | {self.right!r})"


@dataclasses.dataclass(frozen=True)
class Not(Pattern):
    """The pattern does not allow the pair."""

    pattern: Pattern

    def allows(self, query_positions, key_positions):
        return ~self.pattern.allows(query_positions, key_positions)

    def __repr__(self):
        return f"~{self.pattern!r}"


def bidirectional() -> Pattern:
    """Everyone sees everyone."""
    return Bidirectional()


def causal() -> Pattern:
    """A query sees itself and what came before: j ≤ i."""
    return Causal()


def local(window: int) -> Pattern:
    """A query sees what is less than `window` positions away, on both sides: |i − j| < window."""
    return Local(window)
