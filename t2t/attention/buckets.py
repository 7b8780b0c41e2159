"""T5's relative buckets: which distances between positions share one learned bias."""

import math

import jax
import jax.numpy as jnp


def relative_bucket(
    distance: jax.Array, *, bidirectional: bool, buckets: int = 32, max_distance: int = 128
) -> jax.Array:
    """T5's bucket of a distance n = query position − key position (Raffel et al. 2020, section 2.1).

    Half of a side's buckets are one distance each; the rest grow logarithmically to `max_distance`, beyond which all
    share the last. Bidirectional stacks give each side half of the buckets; others see only n ≥ 0.

    Args:
      distance: integers of any shape.

    Returns:
      int32 in [0, buckets), of the same shape.
    """
    distance = jnp.asarray(distance, jnp.int32)
    offset = jnp.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = jnp.where(distance < 0, buckets, 0)
        distance = jnp.abs(distance)
    else:
        distance = jnp.maximum(distance, 0)
    exact = buckets // 2
    ratio = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact) / math.log(max_distance / exact)
    far = jnp.minimum(exact + (ratio * (buckets - exact)).astype(jnp.int32), buckets - 1)
    return offset + jnp.where(distance < exact, distance, far)
