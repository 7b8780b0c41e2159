"""Attention to a window around each query, and to some keys that are seen from everywhere: one softmax over both.

What the window leaves out is never computed: as many queries as the window is long, at a time, look at their own keys,
those of both neighbours and the ones that everyone sees.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.attend import attend
from t2t.attention.chunks import join, split
from t2t.attention.kernels.tiles import MASKED
from t2t.attention.mechanism import Conditions


@flax.struct.dataclass
class Everywhere:
    """Keys and values [b g h k] that all queries of their segment see; segments int32 [b g], 0 or less where there is
    none."""

    key: jax.Array
    value: jax.Array
    segments: jax.Array


def attend_windows(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    conditions: Conditions,
    window: int,
    everywhere: Everywhere,
    bias_of: Callable[[jax.Array], jax.Array] | None = None,
    of_queries: jax.Array | None = None,
) -> jax.Array:
    """Attention of each position [b n h k] to those less than `window` away and to what is seen from everywhere.

    Args:
      conditions: bias (of the window's keys), segments, scale and dropout. Dropout over queries has one mask for the
        queries that are computed together.
      bias_of: of some queries to the keys that are seen from everywhere, made of what `of_queries` says of them:
        int32 [b q] → [b h q g]; none where not given.
      of_queries: int32 [b n].
    """
    bias, segments = conditions.bias, conditions.query_segments
    if bias is not None and not callable(bias):
        bias = _bias_windows(bias, query.shape[1], window)
    distance = np.arange(window)[:, None] - (np.arange(3 * window) - window)[None]
    far = np.where(abs(distance) < window, 0.0, MASKED).astype(np.float32)[None, None]

    def tile(index, query, of_query, told, key, value, of_key, bias):
        if callable(conditions.bias):
            first = index * window
            bias = conditions.bias(first + jnp.arange(window)[None], first - window + jnp.arange(3 * window)[None])
        bias = far if bias is None else bias + far
        more = jnp.zeros((1, 1, window, everywhere.key.shape[1])) if bias_of is None else bias_of(told)
        shape = jnp.broadcast_shapes(bias.shape[:3], more.shape[:3])
        both = [jnp.broadcast_to(x, (*shape, x.shape[-1])) for x in (bias, more.astype(bias.dtype))]
        dropout_key = conditions.dropout_key
        if dropout_key is not None and not conditions.dropout_over_queries:
            dropout_key = jax.random.fold_in(dropout_key, index)
        here = conditions.replace(
            bias=jnp.concatenate(both, axis=-1),
            query_segments=of_query,
            key_segments=jnp.concatenate([of_key, everywhere.segments], axis=1),
            dropout_key=dropout_key,
        )
        key, value = (jnp.concatenate(pair, axis=1) for pair in ((key, everywhere.key), (value, everywhere.value)))
        return attend(query, key, value, **here.keywords())

    queries = [None if x is None else split(x, window) for x in (query, segments, of_queries)]
    keys = [_windows(x, window) for x in (key, value, conditions.key_segments)]
    index = jnp.arange(len(queries[0]), dtype=jnp.int32)
    body = jax.checkpoint(lambda xs: tile(*xs), prevent_cse=False)
    tiles = (index, *queries, *keys, None if callable(bias) else bias)
    return join(jax.lax.map(body, tiles), query.shape[1])


def _windows(x: jax.Array, window: int) -> jax.Array:
    """[b n …] → [tiles b 3·window …]: each tile of `window` positions between its neighbours, zeros beyond the row."""
    x = split(x, window)
    x = jnp.pad(x, [(1, 1)] + [(0, 0)] * (x.ndim - 1))
    return jnp.concatenate([x[:-2], x[1:-1], x[2:]], axis=2)


def _bias_windows(bias: jax.Array, n: int, window: int) -> jax.Array:
    """An array broadcastable to [b h n n] → [tiles b h window 3·window], in the manner of `_windows`."""
    tiles, missing = -(-n // window), -n % window
    bias = jnp.broadcast_to(bias, (*bias.shape[:2], n, n))
    bias = jnp.pad(bias, [(0, 0), (0, 0), (0, missing), (window, missing + window)])
    starts = [i * window for i in range(tiles)]
    return jnp.stack([bias[:, :, i : i + window, i : i + 3 * window] for i in starts])
