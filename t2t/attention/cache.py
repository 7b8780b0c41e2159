"""The keys and values of the positions so far, for incremental decoding: a value that goes in and comes out."""

import flax.struct
import jax
import jax.numpy as jnp


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
