"""Exact attention over every allowed pair: softmax(q·k scale + bias) v (Vaswani et al. 2017, equation 1).

Time and memory are O(n m). This is the reference to which every other way of computing attention is held.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.named import Bidirectional, bidirectional
from t2t.attention.pattern import Pattern

MASKED = -1e10  # the logit of a pair that may not meet: finite, so that no row of a softmax is ever 0/0


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    pattern: Pattern = bidirectional(),
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
) -> jax.Array:
    """Dense attention of n queries over m keys.

    Logits and softmax are float32 whatever the inputs' dtype. A query that may see no key gets exactly 0.

    Args:
      query: [b n h k].
      key, value: [b m h k].
      pattern: who may meet; everyone by default.
      bias: added to the scaled logits, broadcastable to [b h n m].
      query_segments, key_segments: int [b n], [b m]; only equal, non-zero segments meet. Both or neither.
      query_positions, key_positions: int [b n], [b m] for the pattern; 0, 1, … where not given. Both or neither.
      prefix: int or bool [b m]; a pair of true positions of self-attention meets whatever the pattern says (prefix
        LM). Where
        there are fewer queries than keys, they are the first n of them.
      scale: of the logits; 1/sqrt(k) by default.
      dropout_rate: of the attention weights, active where `dropout_key` is given.
      dropout_over_queries: one dropout mask over keys for all the queries of a row, as T5 does.

    Returns:
      [b n h k] in the dtype of `value`.

    Raises:
      ValueError: shapes that do not fit, or one of a pair of arguments without the other.
    """
    _check(query, key, value, query_segments, key_segments, query_positions, key_positions)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    if scale != 1.0:
        query = query * jnp.asarray(scale, query.dtype)
    logits = jnp.einsum("bnhk,bmhk->bhnm", query, key, preferred_element_type=jnp.float32)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    allowed = allowed_pairs(
        query.shape[1],
        key.shape[1],
        pattern=pattern,
        query_segments=query_segments,
        key_segments=key_segments,
        query_positions=query_positions,
        key_positions=key_positions,
        prefix=prefix,
    )
    if allowed is not None:
        logits = jnp.where(allowed, logits, MASKED)
    weights = jax.nn.softmax(logits, axis=-1)
    if allowed is not None and not (isinstance(allowed, np.ndarray) and allowed.any(-1).all()):
        weights = jnp.where(allowed.any(-1, keepdims=True), weights, 0.0)
    if dropout_key is not None and dropout_rate > 0.0:
        b, h, n, m = weights.shape
        keep = jax.random.bernoulli(dropout_key, 1.0 - dropout_rate, (b, h, 1 if dropout_over_queries else n, m))
        weights = jnp.where(keep, weights / (1.0 - dropout_rate), 0.0)
    return jnp.einsum("bhnm,bmhk->bnhk", weights.astype(value.dtype), value)


def allowed_pairs(
    n: int,
    m: int,
    *,
    pattern: Pattern,
    query_segments=None,
    key_segments=None,
    query_positions=None,
    key_positions=None,
    prefix=None,
) -> jax.Array | np.ndarray | None:
    """The pairs that may meet, as booleans broadcastable to [b h n m]: NumPy where the pattern alone says so; None
    where all may."""
    if isinstance(pattern, Bidirectional):
        allowed = None
    elif query_positions is None:
        allowed = pattern.mask(n, m)[None, None]
    else:
        allowed = pattern.allows(query_positions[:, None, :, None], key_positions[:, None, None, :])
    if prefix is not None and allowed is not None:
        inside = prefix.astype(bool)
        allowed = allowed | (inside[:, None, :n, None] & inside[:, None, None, :])
    if query_segments is not None:
        same = query_segments[:, None, :, None] == key_segments[:, None, None, :]
        same = same & (key_segments > 0)[:, None, None, :]
        allowed = same if allowed is None else allowed & same
    return allowed


def _check(query, key, value, query_segments, key_segments, query_positions, key_positions) -> None:
    """Refuses shapes that do not fit, saying which."""
    if (
        query.ndim != 4
        or key.ndim != 4
        or key.shape != value.shape
        or query.shape[0] != key.shape[0]
        or query.shape[2:] != key.shape[2:]
    ):
        raise ValueError(
            "attend: expected query [b n h k], key and value [b m h k], "
            f"found query {query.shape}, key {key.shape}, value {value.shape}."
        )
    for kind, of_query, of_key in (
        ("segments", query_segments, key_segments),
        ("positions", query_positions, key_positions),
    ):
        if (of_query is None) != (of_key is None):
            raise ValueError(f"attend: query_{kind} and key_{kind} go together, found one without the other.")
        if of_query is not None and (of_query.shape != query.shape[:2] or of_key.shape != key.shape[:2]):
            raise ValueError(
                f"attend: expected query_{kind} {query.shape[:2]} and key_{kind} {key.shape[:2]}, "
                f"found {of_query.shape} and {of_key.shape}."
            )
