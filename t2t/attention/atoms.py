"""The atoms of which patterns are made; `named` says what each means, and makes them."""

import dataclasses
from collections.abc import Callable

import numpy as np

from t2t.attention.pattern import Or, Pattern


@dataclasses.dataclass(frozen=True)
class Bidirectional(Pattern):
    shift_invariant = True

    def allows(self, query_positions, key_positions):
        return query_positions * 0 + key_positions * 0 == 0

    def bounds(self, query_low, query_high, key_low, key_high):
        yes = query_low * 0 + key_low * 0 == 0
        return yes, yes

    def __repr__(self):
        return "bidirectional()"


@dataclasses.dataclass(frozen=True)
class Causal(Pattern):
    shift_invariant = True

    def allows(self, query_positions, key_positions):
        return key_positions <= query_positions

    def bounds(self, query_low, query_high, key_low, key_high):
        return key_low <= query_high, key_high <= query_low

    def __repr__(self):
        return "causal()"


@dataclasses.dataclass(frozen=True)
class Local(Pattern):
    window: int
    after: int | None = None

    shift_invariant = True

    def __post_init__(self):
        at_least_one("local", window=self.window, after=1 if self.after is None else self.after)

    def allows(self, query_positions, key_positions):
        distance = query_positions - key_positions
        return (distance < self.window) & (distance > -self._after)

    def bounds(self, query_low, query_high, key_low, key_high):
        nearest, farthest = query_low - key_high, query_high - key_low
        return (
            (nearest < self.window) & (farthest > -self._after),
            (farthest < self.window) & (nearest > -self._after),
        )

    def kept(self, positions):
        return self.window, np.zeros(len(positions), bool)

    @property
    def _after(self):
        return self.window if self.after is None else self.after

    def __repr__(self):
        return f"local({self.window})" if self.after is None else f"local({self.window}, after={self.after})"


@dataclasses.dataclass(frozen=True)
class Strided(Pattern):
    stride: int

    shift_invariant = True

    def __post_init__(self):
        at_least_one("strided", stride=self.stride)

    def allows(self, query_positions, key_positions):
        return (query_positions - key_positions) % self.stride == 0

    def bounds(self, query_low, query_high, key_low, key_high):
        nearest, farthest = query_low - key_high, query_high - key_low
        multiple = farthest // self.stride * self.stride
        return multiple >= nearest, (nearest == farthest) & (multiple == nearest) | (self.stride == 1)

    def __repr__(self):
        return f"strided({self.stride})"


@dataclasses.dataclass(frozen=True)
class Blocks(Pattern):
    length: int

    def __post_init__(self):
        at_least_one("blocks", length=self.length)

    def allows(self, query_positions, key_positions):
        return query_positions // self.length == key_positions // self.length

    def bounds(self, query_low, query_high, key_low, key_high):
        first, last = query_low // self.length, query_high // self.length
        key_first, key_last = key_low // self.length, key_high // self.length
        same = (first == last) & (key_first == key_last) & (first == key_first)
        return (first <= key_last) & (key_first <= last), same

    def kept(self, positions):
        return self.length, np.zeros(len(positions), bool)

    def __repr__(self):
        return f"blocks({self.length})"


@dataclasses.dataclass(frozen=True)
class Summaries(Pattern):
    length: int
    count: int

    def __post_init__(self):
        at_least_one("summaries", length=self.length, count=self.count)
        if self.count > self.length:
            raise ValueError(f"summaries: expected count of at most length {self.length}, found {self.count}.")

    def allows(self, query_positions, key_positions):
        return (key_positions % self.length >= self.length - self.count) & (query_positions == query_positions)

    def bounds(self, query_low, query_high, key_low, key_high):
        first, same = self.length - self.count, key_low // self.length == key_high // self.length
        every = same & (key_low % self.length >= first) | (self.count == self.length)
        any_query = query_low == query_low
        return (~same | (key_high % self.length >= first)) & any_query, every & any_query

    def kept(self, positions):
        return 0, positions % self.length >= self.length - self.count

    def __repr__(self):
        return f"summaries({self.length}, {self.count})"


@dataclasses.dataclass(frozen=True)
class Fixed(Pattern):
    length: int
    count: int

    def __post_init__(self):
        self.expand()  # which checks the two numbers

    def allows(self, query_positions, key_positions):
        return self.expand().allows(query_positions, key_positions)

    def bounds(self, *rectangle):
        return self.expand().bounds(*rectangle)

    def kept(self, positions):
        return self.expand().kept(positions)

    def expand(self):
        return Or(Blocks(self.length), Summaries(self.length, self.count))

    def __repr__(self):
        return f"fixed({self.length}, {self.count})"


@dataclasses.dataclass(frozen=True)
class FirstQueries(Pattern):
    count: int

    def __post_init__(self):
        at_least_one("first_queries", count=self.count)

    def allows(self, query_positions, key_positions):
        return (query_positions < self.count) & (key_positions == key_positions)

    def bounds(self, query_low, query_high, key_low, key_high):
        any_key = key_low == key_low
        return (query_low < self.count) & any_key, (query_high < self.count) & any_key

    def __repr__(self):
        return f"first_queries({self.count})"


@dataclasses.dataclass(frozen=True)
class FirstKeys(Pattern):
    count: int

    def __post_init__(self):
        at_least_one("first_keys", count=self.count)

    def allows(self, query_positions, key_positions):
        return (key_positions < self.count) & (query_positions == query_positions)

    def bounds(self, query_low, query_high, key_low, key_high):
        any_query = query_low == query_low
        return (key_low < self.count) & any_query, (key_high < self.count) & any_query

    def kept(self, positions):
        return 0, positions < self.count

    def __repr__(self):
        return f"first_keys({self.count})"


@dataclasses.dataclass(frozen=True)
class Global(Pattern):
    count: int

    def __post_init__(self):
        at_least_one("global_tokens", count=self.count)

    def allows(self, query_positions, key_positions):
        return (query_positions < self.count) | (key_positions < self.count)

    def bounds(self, *rectangle):
        return self.expand().bounds(*rectangle)

    def kept(self, positions):
        # A query among the first `count` sees all before it, which is among the first `count` too.
        return 0, positions < self.count

    def expand(self):
        return Or(FirstQueries(self.count), FirstKeys(self.count))

    def __repr__(self):
        return f"global_tokens({self.count})"


@dataclasses.dataclass(frozen=True)
class BlockTable(Pattern):
    length: int
    table: tuple[tuple[int, ...], ...]

    def __post_init__(self):
        at_least_one("block_table", length=self.length)
        object.__setattr__(self, "table", tuple(tuple(int(key) for key in row) for row in self.table))
        size = 1 + max([len(self.table) - 1] + [key for row in self.table for key in row])
        matrix = np.zeros((size, size), bool)
        for query, keys in enumerate(self.table):
            matrix[query, list(keys)] = True
        object.__setattr__(self, "_matrix", matrix)

    def allows(self, query_positions, key_positions):
        query, key = query_positions // self.length, key_positions // self.length
        last = len(self._matrix) - 1
        xp = np if isinstance(query, np.ndarray) and isinstance(key, np.ndarray) else _jax_numpy()
        inside = (query <= last) & (key <= last) & (query >= 0) & (key >= 0)
        return xp.asarray(self._matrix)[xp.clip(query, 0, last), xp.clip(key, 0, last)] & inside

    def bounds(self, query_low, query_high, key_low, key_high):
        one = (query_low // self.length == query_high // self.length) & (
            key_low // self.length == key_high // self.length
        )
        here = self.allows(query_low, key_low)
        return here | ~one, here & one

    def __repr__(self):
        return f"block_table({self.length}, {self.table})"


@dataclasses.dataclass(frozen=True)
class Where(Pattern):
    predicate: Callable

    def allows(self, query_positions, key_positions):
        return self.predicate(query_positions, key_positions)

    def __repr__(self):
        return f"where({getattr(self.predicate, '__name__', self.predicate)})"


def at_least_one(name: str, **numbers: int) -> None:
    for what, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
            raise ValueError(f"{name}({what}): expected a whole number of at least 1, found {number!r}.")


def _jax_numpy():
    import jax.numpy as jnp

    return jnp
