"""Exact attention with all logits at once: softmax(q·k scale + bias) v (Vaswani et al. 2017, equation 1).

Time and memory are O(n m). This is the reference to which every other way of computing attention is held, and the
fastest where little is left out of few positions.
"""

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.atoms import Bidirectional
from t2t.attention.kernels.tiles import MASKED
from t2t.attention.pattern import Pattern
from t2t.attention.plan import without_causality
from t2t.attention.products import wide_einsum


def reference(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    allowed: jax.Array | np.ndarray | None,
    bias: jax.Array | None,
    scale: float,
    dropout_rate: float,
    dropout_key: jax.Array | None,
    dropout_over_queries: bool,
) -> jax.Array:
    """Attention of n queries [b n h k] over m keys [b m h k]; see `attend` for the arguments.

    Args:
      allowed: booleans broadcastable to [b h n m], from `allowed_pairs`; None where all meet.
      bias: broadcastable to [b h n m].
    """
    if scale != 1.0:
        query = query * jnp.asarray(scale, query.dtype)
    logits = wide_einsum("bnhk,bmhk->bhnm", query, key)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
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

    def of(pattern):
        if isinstance(pattern, Bidirectional):
            return None
        if query_positions is None:
            return pattern.mask(n, m)[None, None]
        return pattern.allows(query_positions[:, None, :, None], key_positions[:, None, None, :])

    allowed = of(pattern)
    if prefix is not None and allowed is not None:
        inside = prefix.astype(bool)
        lifted, inside = of(without_causality(pattern)), inside[:, None, :n, None] & inside[:, None, None, :]
        allowed = allowed | (inside if lifted is None else inside & lifted)
    if query_segments is not None:
        same = query_segments[:, None, :, None] == key_segments[:, None, None, :]
        same = same & (key_segments > 0)[:, None, None, :]
        allowed = same if allowed is None else allowed & same
    return allowed
