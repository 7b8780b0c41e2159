"""Attention under a pattern: the Sparse Transformer, Longformer, BigBird, local windows, and any of your own."""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.atoms import Causal
from t2t.attention.attend import attend
from t2t.attention.blind import first_blind
from t2t.attention.cache import KVCache, WindowCache
from t2t.attention.documents import positions_in_documents
from t2t.attention.mechanism import Conditions, Mechanism
from t2t.attention.pattern import Or, Pattern
from t2t.attention.text import parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sparse(Mechanism):
    """Exact attention over the pairs of a pattern, computing no more than the tiles that hold some.

    A cache holds what the pattern can still see: a window for a local pattern, and the global or summary positions.

    Attributes:
      pattern: on top of what the architecture implies (a decoder is causal whatever stands here): a `Pattern` or its
        text, "local(128) | strided(128)"; or one for each head.
      counted: from where a pattern counts positions: from where each document begins; or from where the row does,
        padding in front included, as published systems do. It matters where a pattern looks at more than distances.
    """

    name: Literal["sparse"] = "sparse"
    pattern: Pattern | str | tuple[Pattern | str, ...]
    counted: Literal["document", "row"] = "document"

    def __post_init__(self):
        # Kept as text, which configs can be saved with, where the text says it all (a user's predicate has none).
        many = isinstance(self.pattern, (tuple, list))
        texts = tuple(_as_text(p) for p in (self.pattern if many else (self.pattern,)))
        object.__setattr__(self, "pattern", texts if many else texts[0])

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The pattern, or one for each head."""
        texts = self.pattern if isinstance(self.pattern, tuple) else (self.pattern,)
        return tuple(_parsed(p) if isinstance(p, str) else p for p in texts)

    def flops(self, n, m, sizes, *, causal):
        patterns = [Causal() & p if causal else p for p in self.patterns]
        pairs = sum(pattern.cost(n, m).pairs for pattern in patterns) / len(patterns)
        return 4.0 * sizes.heads * sizes.head_width * pairs

    def init_state(self, batch, length, sizes, dtype):
        window, lasting = self._kept(length)
        if window + lasting.sum() >= length:
            return KVCache.empty(batch, length, sizes.heads, sizes.head_width, dtype)
        return WindowCache.empty(batch, length, window, int(lasting.sum()), sizes.heads, sizes.head_width, dtype)

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        patterns = tuple(conditions.pattern & p for p in self.patterns)
        conditions = conditions.replace(pattern=patterns if isinstance(self.pattern, tuple) else patterns[0])
        if state is None:
            return self._attend(query, key, value, conditions), None
        segments, positions = conditions.key_segments, conditions.key_positions
        if isinstance(state, KVCache):
            seen = new = state.extend(key, value, segments, positions)
        else:
            new = state.extend(key, value, segments, positions, self._slots(state.length))
            seen = state.with_new(key, value, segments, positions)

        def go_on(query):
            """The new positions see what was before, and each other."""
            around = conditions.replace(key_segments=seen.segments, key_positions=seen.positions, prefix=None)
            return attend(query, seen.key, seen.value, **around.keywords())

        def begin(query):
            """Nothing was before: the new positions are a row by themselves."""
            around = conditions.replace(query_positions=None, key_positions=None)
            return self._attend(query, key, value, around, positions)

        if query.shape[1] == 1:
            return go_on(query), new
        return jax.lax.cond(state.index == 0, begin, go_on, query), new

    def _attend(self, query, key, value, conditions: Conditions, positions=None) -> jax.Array:
        """Attention by the pattern's geometry in the row; or by the positions in each document, where the pattern
        looks at more than distances and some document does not begin with the row (packing, padding ahead)."""
        self._check_sight(conditions.pattern, query.shape[1], key.shape[1])
        segments = conditions.key_segments
        plain = functools.partial(attend, query, key, value, **conditions.keywords())
        by_row = self.counted == "row" or all(p.shift_invariant for p in self.patterns)
        if segments is None or query.shape[1] != key.shape[1] or by_row:
            return plain()
        positions = positions_in_documents(segments) if positions is None else positions
        moved = ((positions != jnp.arange(segments.shape[1])) & (segments > 0)).any()
        placed = conditions.replace(query_positions=positions, key_positions=positions)
        return jax.lax.cond(moved, lambda: attend(query, key, value, **placed.keywords()), plain)

    def _check_sight(self, patterns: Pattern | tuple[Pattern, ...], n: int, m: int) -> None:
        """Refuses patterns that leave a query nothing to see in any head: it would learn nothing, unseen."""
        together = functools.reduce(Or, patterns if isinstance(patterns, tuple) else (patterns,))
        blind = first_blind(together, n, m)
        if blind is not None:
            raise ValueError(
                f"Sparse.pattern: {' and '.join(map(str, self.patterns))} leaves query {blind} of {n} nothing to see, "
                "in all heads: let it see itself, with '| local(1)', or something else that is always there."
            )

    def _kept(self, length: int) -> tuple[int, np.ndarray]:
        """How many positions before the present one a cache holds, and which it holds for ever."""
        window, lasting = functools.reduce(Or, self.patterns).kept(np.arange(length))
        return max(window - 1, 0), lasting

    def _slots(self, length: int) -> np.ndarray:
        """The slot of each position that a cache holds for ever, −1 for others: int [length]."""
        _, lasting = self._kept(length)
        return np.where(lasting, np.cumsum(lasting) - 1, -1)


def _as_text(pattern: Pattern | str) -> Pattern | str:
    if isinstance(pattern, str):
        return repr(_parsed(pattern))
    try:
        return repr(pattern) if parse(repr(pattern)) == pattern else pattern
    except ValueError:
        return pattern


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> Pattern:
    return parse(text)
