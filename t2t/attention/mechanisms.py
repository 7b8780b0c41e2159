"""The mechanisms by which positions exchange information, each a config that knows how to apply itself.

Every mechanism has the one interface `apply(query, key, value, …, state) → (out, state)`, after the projections, so
that swapping the mechanism keeps the projection weights. `MECHANISMS` lists them all; there is no registration.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.dense import attend
from t2t.attention.pattern import Pattern, bidirectional


@flax.struct.dataclass
class KVCache:
    """The keys and values of the positions so far, for incremental decoding: a value that goes in and comes out.

    Attributes:
      key, value: [b m h k], m the longest sequence there is room for.
      segments: int32 [b m]; 0 where nothing has been written, and on padding.
      positions: int32 [b m].
      index: int32 scalar, the next slot to write, the same for all rows (prompts are padded on the left).
    """

    key: jax.Array
    value: jax.Array
    segments: jax.Array
    positions: jax.Array
    index: jax.Array

    def extend(self, key: jax.Array, value: jax.Array, segments: jax.Array, positions: jax.Array) -> "KVCache":
        """The cache with n more positions, key and value [b n h k], segments and positions [b n], written at
        `index`."""

        def write(where, what):
            starts = (0, self.index) + (0,) * (where.ndim - 2)
            return jax.lax.dynamic_update_slice(where, what.astype(where.dtype), starts)

        return KVCache(
            key=write(self.key, key),
            value=write(self.value, value),
            segments=write(self.segments, segments),
            positions=write(self.positions, positions),
            index=self.index + key.shape[1],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense:
    """Exact attention over every pair that the patterns allow.

    Attributes:
      pattern: on top of what the architecture implies (a decoder is causal whatever stands here).
    """

    name: Literal["dense"] = "dense"
    pattern: Pattern | None = None

    def init_state(self, batch: int, length: int, heads: int, head_width: int, dtype: jnp.dtype) -> KVCache:
        """An empty cache with room for `length` positions."""
        shape = (batch, length, heads, head_width)
        return KVCache(
            key=jnp.zeros(shape, dtype),
            value=jnp.zeros(shape, dtype),
            segments=jnp.zeros((batch, length), jnp.int32),
            positions=jnp.zeros((batch, length), jnp.int32),
            index=jnp.zeros((), jnp.int32),
        )

    def apply(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        *,
        pattern: Pattern | None = None,
        bias: jax.Array | Callable[..., jax.Array] | None = None,
        query_segments: jax.Array | None = None,
        key_segments: jax.Array | None = None,
        query_positions: jax.Array | None = None,
        key_positions: jax.Array | None = None,
        prefix: jax.Array | None = None,
        scale: float | None = None,
        dropout_rate: float = 0.0,
        dropout_key: jax.Array | None = None,
        dropout_over_queries: bool = False,
        state: KVCache | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        """Attends; see `dense.attend` for the arguments.

        Args:
          pattern: what the architecture implies; the mechanism's own is laid over it.
          bias: an array, or a function of the query and key positions that makes it ([b n], [b m] → [b h n m]); the
            latter where there is a state, because only the mechanism knows which keys its state holds.
          state: the cache of earlier positions, to which the given keys and values are added. Segments and positions
            must then be given.

        Returns:
          The output [b n h k], and the new state (None where none was given).
        """
        pattern = bidirectional() if pattern is None else pattern
        if self.pattern is not None:
            pattern = pattern & self.pattern
        if state is not None:
            state = state.extend(key, value, key_segments, key_positions)
            key, value, key_segments, key_positions = state.key, state.value, state.segments, state.positions
        if callable(bias):
            bias = bias(query_positions, key_positions)
        out = attend(
            query,
            key,
            value,
            pattern=pattern,
            bias=bias,
            query_segments=query_segments,
            key_segments=key_segments,
            query_positions=query_positions,
            key_positions=key_positions,
            prefix=prefix,
            scale=scale,
            dropout_rate=dropout_rate,
            dropout_key=dropout_key,
            dropout_over_queries=dropout_over_queries,
        )
        return out, state


AttentionConfig = Dense
MECHANISMS: dict[str, type] = {"dense": Dense}
