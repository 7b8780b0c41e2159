"""What recurrent mechanisms keep of the segments before: hidden states to be projected again, or keys and values."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.cache import Shared
from t2t.attention.mechanism import Conditions, Sizes, Source
from t2t.attention.relative import Part


@flax.struct.dataclass
class HiddenMemory:
    """The memory of training, in the order of time. Weights of now project it, and no gradient goes further back.

    Attributes:
      hidden: [b m d], what keys and values are projected from.
      segments: int32 [b m], 0 where there is nothing.
      loss: float32 scalar, what the last segment adds to the loss of training.
    """

    hidden: jax.Array
    segments: jax.Array
    loss: jax.Array

    @classmethod
    def empty(cls, batch: int, length: int, sizes: Sizes, dtype: jnp.dtype) -> "HiddenMemory":
        return cls(
            hidden=jnp.zeros((batch, length, sizes.width), dtype),
            segments=jnp.zeros((batch, length), jnp.int32),
            loss=jnp.zeros((), jnp.float32),
        )

    def read(self, conditions: Conditions, source: Source) -> list[Part]:
        """Its keys and values, the last just before the first query."""
        m = self.hidden.shape[1]
        positions = None
        if conditions.query_positions is not None:
            positions = conditions.query_positions[:, :1] - m + jnp.arange(m)
        key, value = source.project(jax.lax.stop_gradient(self.hidden), positions)
        return [Part.of(key, value, self.segments, first=-m)]

    def write(self, own: Part, source: Source) -> "HiddenMemory":
        """The memory after a segment."""
        return self.extend(source.inputs, own.segments)

    def extend(self, hidden: jax.Array, segments: jax.Array) -> "HiddenMemory":
        """The memory after states [b n d] and their segments [b n]."""
        hidden = newest(self.hidden, jax.lax.stop_gradient(hidden))
        return self.replace(hidden=hidden, segments=newest(self.segments, segments))


@flax.struct.dataclass
class KeyValueMemory:
    """The memory of evaluation and decoding: a ring, of which a segment overwrites the oldest and copies nothing.

    Attributes:
      key, value: [b h k m], [b h m k], as `relative.Part` has them.
      segments: int32 [b m], 0 where there is nothing.
      index: int32 scalar, the slot of the oldest, the next to be written.
      table: what the relative encoding makes of the distances (`relative.Relative.table`), which stays the same as long
        as the weights do; None before the first segment.
    """

    key: jax.Array
    value: jax.Array
    segments: jax.Array
    index: jax.Array
    table: Shared | None = None

    @classmethod
    def empty(cls, batch: int, length: int, sizes: Sizes, dtype: jnp.dtype) -> "KeyValueMemory":
        h, k = sizes.heads, sizes.head_width
        return cls(
            key=jnp.zeros((batch, h, k, length), dtype),
            value=jnp.zeros((batch, h, length, k), dtype),
            segments=jnp.zeros((batch, length), jnp.int32),
            index=jnp.zeros((), jnp.int32),
        )

    def read(self, conditions: Conditions, source: Source | None) -> list[Part]:
        """Its keys and values, the last just before the first query."""
        return [Part(self.key, self.value, self.segments, turn=self.index, first=-self.segments.shape[1])]

    def of_zeros(self, source: Source) -> "KeyValueMemory":
        """The memory of states of zero: their keys and values are not, where a norm or the projection has a bias."""
        key, value = source.project(jnp.zeros_like(source.inputs[:1, :1]))
        state = Part.of(key, value, None)
        return self.replace(
            key=jnp.broadcast_to(state.key, self.key.shape).astype(self.key.dtype),
            value=jnp.broadcast_to(state.value, self.value.shape).astype(self.value.dtype),
        )

    def slots(self, n: int) -> jax.Array:
        """Where n more are written, or the last of them that there are slots for."""
        m = self.segments.shape[1]
        return (self.index + n - min(n, m) + jnp.arange(min(n, m))) % m

    def write(self, own: Part, source: Source | None) -> "KeyValueMemory":
        """The memory after a segment."""
        m, n = self.segments.shape[1], own.segments.shape[1]
        slots = self.slots(n)
        return self.replace(
            key=self.key.at[..., slots].set(own.key[..., -m:].astype(self.key.dtype)),
            value=self.value.at[:, :, slots].set(own.value[:, :, -m:].astype(self.value.dtype)),
            segments=self.segments.at[:, slots].set(own.segments[:, -m:]),
            index=(self.index + n) % m,
        )

    def with_table(self, make: Callable[[int], jax.Array], distances: int) -> "KeyValueMemory":
        """With a table of at least so many distances, made by `make` where it is not there."""
        if self.table is not None and self.table.value.shape[-1] >= distances:
            return self
        return self.replace(table=Shared(make(distances)))


def newest(kept: jax.Array, more: jax.Array) -> jax.Array:
    """[b m …] and [b n …] that follow → the last m of both."""
    return jnp.concatenate([kept, more.astype(kept.dtype)], axis=1)[:, more.shape[1] :]
