"""The keys and values of the positions so far, for incremental decoding: a value that goes in and comes out."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np


@flax.struct.dataclass
class Shared:
    """An array of a state that all rows have in common, so that it stays as it is where rows are taken or repeated."""

    value: jax.Array


@flax.struct.dataclass
class KVCache:
    """Keys and values in the order in which they came.

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

    @classmethod
    def empty(cls, batch: int, length: int, heads: int, head_width: int, dtype: jnp.dtype) -> "KVCache":
        """A cache with room for `length` positions and none in it."""
        shape = (batch, length, heads, head_width)
        return cls(
            key=jnp.zeros(shape, dtype),
            value=jnp.zeros(shape, dtype),
            segments=jnp.zeros((batch, length), jnp.int32),
            positions=jnp.zeros((batch, length), jnp.int32),
            index=jnp.zeros((), jnp.int32),
        )

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


@flax.struct.dataclass
class WindowCache:
    """The positions that a pattern can still see: those it sees for ever, and the last few.

    Attributes:
      key, value: [b s h k]; the first `lasting` of the s slots are held for ever, the others are the last positions,
        oldest first.
      segments: int32 [b s]; 0 where nothing has been written, and on padding.
      positions: int32 [b s].
      index: int32 scalar, how many positions there have been.
      lasting: how many slots are held for ever.
      length: how many positions there may be in all.
    """

    key: jax.Array
    value: jax.Array
    segments: jax.Array
    positions: jax.Array
    index: jax.Array
    lasting: int = flax.struct.field(pytree_node=False)
    length: int = flax.struct.field(pytree_node=False)

    @classmethod
    def empty(
        cls, batch: int, length: int, window: int, lasting: int, heads: int, head_width: int, dtype: jnp.dtype
    ) -> "WindowCache":
        """A cache of the last `window` positions, and of `lasting` others out of `length` in all."""
        slots = KVCache.empty(batch, lasting + window, heads, head_width, dtype)
        arrays = {name: getattr(slots, name) for name in ("key", "value", "segments", "positions", "index")}
        return cls(**arrays, lasting=lasting, length=length)

    def with_new(self, key: jax.Array, value: jax.Array, segments: jax.Array, positions: jax.Array) -> "WindowCache":
        """All there is to see for n new positions: what is held, and they themselves, behind it."""

        def join(held, new):
            return jnp.concatenate([held, new.astype(held.dtype)], axis=1)

        return self.replace(
            key=join(self.key, key),
            value=join(self.value, value),
            segments=join(self.segments, segments),
            positions=join(self.positions, positions),
        )

    def extend(
        self, key: jax.Array, value: jax.Array, segments: jax.Array, positions: jax.Array, slots: np.ndarray
    ) -> "WindowCache":
        """The cache after n more positions.

        Args:
          key, value: [b n h k].
          segments, positions: int32 [b n].
          slots: int [length], the slot of each position that is held for ever, −1 for others.
        """
        everything = self.with_new(key, value, segments, positions)
        # What leaves the window is held for ever, if its position is one of those, or is dropped.
        leaving = slice(self.lasting, self.lasting + key.shape[1])
        left_segments, left_positions = everything.segments[:, leaving], everything.positions[:, leaving]
        slot = jnp.asarray(slots, jnp.int32)[jnp.clip(left_positions, 0, self.length - 1)]
        slot = jnp.where((left_segments > 0) & (slot >= 0), slot, self.lasting)  # beyond the end: dropped

        def settle(x):
            held, recent = x[:, : self.lasting], x[:, x.shape[1] - (self.key.shape[1] - self.lasting) :]
            if self.lasting:
                held = jax.vmap(lambda to, at, what: to.at[at].set(what, mode="drop"))(held, slot, x[:, leaving])
            return jnp.concatenate([held, recent], axis=1)

        return self.replace(
            key=settle(everything.key),
            value=settle(everything.value),
            segments=settle(everything.segments),
            positions=settle(everything.positions),
            index=self.index + key.shape[1],
        )
