"""Sequences in chunks of positions, one after another, so that what is made of a chunk stays in the cache."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def split(x: jax.Array, size: int) -> jax.Array:
    """[b n …] → [chunks b size …], the last chunk filled up with zeros."""
    widths = [(0, 0)] * x.ndim
    widths[1] = (0, -x.shape[1] % size)
    return jnp.moveaxis(jnp.pad(x, widths).reshape(x.shape[0], -1, size, *x.shape[2:]), 1, 0)


def join(x: jax.Array, n: int) -> jax.Array:
    """The inverse of `split`: [chunks b size …] → [b n …]."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :n]


def map_chunks(function: Callable[[jax.Array, Any], jax.Array], size: int, arrays: Any) -> jax.Array:
    """Applies a function to one chunk of positions after another.

    The backward pass computes a chunk again rather than keep anything of its inside.

    Args:
      function: the chunk's index and the chunks [b size …] of all arrays → [b size …]; the last chunk is filled up
        with zeros.
      size: positions in a chunk; a sequence that is not longer is one chunk, as it is.
      arrays: a pytree of arrays [b n …].

    Returns:
      [b n …].
    """
    n = jax.tree.leaves(arrays)[0].shape[1]
    if n <= size:
        return function(jnp.zeros((), jnp.int32), arrays)
    chunks = jax.tree.map(lambda x: split(x, size), arrays)
    indices = jnp.arange(-(-n // size), dtype=jnp.int32)
    body = jax.checkpoint(lambda chunk: function(*chunk), prevent_cse=False)
    return join(jax.lax.map(body, (indices, chunks)), n)
