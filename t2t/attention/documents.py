"""Packed documents: where each begins in its row, and one of them alone. A document's positions stand together."""

from typing import Any

import jax
import jax.numpy as jnp


def positions_in_documents(segments: jax.Array) -> jax.Array:
    """Segments int [b n] → int32 [b n], how far each position is from the first of its segment."""
    index = jnp.arange(segments.shape[1], dtype=jnp.int32)
    begins = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    return index - jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def several_documents(segments: jax.Array) -> jax.Array:
    """Segments int [b n] → booleans [b 1], whether a row holds more than one."""
    segments = jnp.asarray(segments)  # NumPy's are of 64 bits, whose largest number is none of JAX's
    least = jnp.where(segments > 0, segments, jnp.iinfo(segments.dtype).max).min(1, keepdims=True)
    return (segments > least).any(1, keepdims=True)


def document(arrays: Any, segments: jax.Array, number: jax.Array | int) -> tuple[Any, jax.Array]:
    """One document of each row, moved to the front of the row.

    Args:
      arrays: a pytree of arrays [b n …].
      segments: int [b n].
      number: the segment that is the document.

    Returns:
      The arrays with the document's positions first and zeros behind them, and booleans [b n], true at the former.
    """
    inside = segments == number
    start = jnp.argmax(inside, axis=1)

    def alone(x):
        return jnp.where(inside.reshape(inside.shape + (1,) * (x.ndim - 2)), x, 0)

    def to_front(x):
        return jax.vmap(lambda row, by: jnp.roll(row, -by, axis=0))(x, start)

    # Moving is slow on a CPU, and a document that is padded on the right is at the front already.
    return jax.lax.cond(
        (start > 0).any(), lambda x: jax.tree.map(to_front, x), lambda x: x, (jax.tree.map(alone, arrays), inside)
    )


def spoil_beyond(out: jax.Array, segments: jax.Array | None, documents: int) -> jax.Array:
    """NaN at positions [b n …] of segments beyond the greatest there is room for.

    How many documents a row holds is known only when the program runs, where nothing can be raised: NaN in the loss is
    found at once, an output that left the document's keys out would not be.
    """
    if segments is None:
        return out
    return jnp.where((segments > documents).reshape(segments.shape + (1,) * (out.ndim - 2)), jnp.nan, out)
