"""Exact attention between pairs that are known only when the program runs, some queries at a time.

Every pair is computed, in the time of dense attention and the memory of a few rows of it: what a sparse mechanism falls
back on for the rare row that its fast way cannot serve.
"""

from collections.abc import Callable
from typing import Any

import jax

from t2t.attention.attend import attend
from t2t.attention.chunks import map_chunks
from t2t.attention.mechanism import Conditions

PAIRS = 2**20  # of logits of a head and row that are there at once


def attend_masked(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    conditions: Conditions,
    of_queries: Any,
    bias: Callable[[Any], jax.Array],
) -> jax.Array:
    """Attention [b n h k] of queries [b n h k] to keys and values [b m h k] under a bias that says who meets.

    Args:
      conditions: segments, scale and dropout. Dropout over queries has one mask for those that are computed together.
      of_queries: a pytree of arrays [b n …], what is known of each query.
      bias: what is known of q queries, [b q …] → their bias to all keys, [b 1 q m], `MASKED` where a pair may not meet.
    """

    def some(index, given):
        query, segments, known = given
        dropout_key = conditions.dropout_key
        if dropout_key is not None and not conditions.dropout_over_queries:
            dropout_key = jax.random.fold_in(dropout_key, index)
        here = conditions.replace(bias=bias(known), query_segments=segments, dropout_key=dropout_key)
        return attend(query, key, value, **here.keywords())

    size = max(PAIRS // key.shape[1], 1)
    return map_chunks(some, size, (query, conditions.query_segments, of_queries))
