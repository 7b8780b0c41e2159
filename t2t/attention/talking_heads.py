"""Talking heads: heads exchange what they found, before the softmax and after it (Shazeer et al. 2020)."""

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.kernels.tiles import MASKED
from t2t.attention.products import wide_einsum


def talk(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mix_logits: jax.Array,
    mix_weights: jax.Array,
    allowed: jax.Array | np.ndarray | None,
    bias: jax.Array | None,
    scale: float,
    dropout_rate: float = 0.0,
    dropout_key: jax.Array | None = None,
    dropout_over_queries: bool = False,
) -> jax.Array:
    """Exact attention with all logits at once, whose heads are mixed twice.

    Args:
      query: [b n h k].
      key, value: [b m h k].
      mix_logits, mix_weights: [h h], from the heads of the products to those of the softmax, and from these to those of
        the values.
      allowed: booleans broadcastable to [b h n m]; None where all meet.
      bias: broadcastable to [b h n m], added before heads are mixed.
      scale, dropout_rate, dropout_key, dropout_over_queries: see `attend`.

    Returns:
      [b n h k] in the dtype of the values; exactly 0 for a query that sees nothing.
    """
    logits = wide_einsum("bnhk,bmhk->bhnm", query * jnp.asarray(scale, query.dtype), key)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    logits = jnp.einsum("bhnm,hg->bgnm", logits, mix_logits.astype(jnp.float32))
    if allowed is not None:
        logits = jnp.where(allowed, logits, MASKED)
    weights = jax.nn.softmax(logits, axis=-1)
    if allowed is not None:
        weights = jnp.where(allowed, weights, 0.0)  # also in the rows that see nothing
    if dropout_key is not None and dropout_rate > 0.0:
        b, h, n, m = weights.shape
        keep = jax.random.bernoulli(dropout_key, 1.0 - dropout_rate, (b, h, 1 if dropout_over_queries else n, m))
        weights = jnp.where(keep, weights / (1.0 - dropout_rate), 0.0)
    weights = jnp.einsum("bhnm,hg->bgnm", weights, mix_weights.astype(jnp.float32))
    return jnp.einsum("bhnm,bmhk->bnhk", weights.astype(value.dtype), value)
