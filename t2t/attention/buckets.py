"""Relative buckets: which distances between positions share what is learned of them."""

import math

import jax
import jax.numpy as jnp
import numpy as np


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


def log_bucket(distance: np.ndarray, *, buckets: int, max_distance: int) -> np.ndarray:
    """DeBERTa-v2's bucket of a distance (He et al. 2021, as published): odd in it, and rounded away from 0.

    Up to half of the buckets of a side each distance has its own; the rest grow logarithmically, so that
    `max_distance` − 1 has the last. What is farther has numbers beyond, which the caller clips.

    Args:
      distance: integers of any shape.
      buckets: of a side, at least 2.
      max_distance: greater than half of the buckets and 1.

    Returns:
      int64 of the same shape.
    """
    half, far = buckets // 2, np.abs(distance)
    # In float32 like the published models': what lies on a border falls on the same side.
    ratio = np.log(np.maximum(far, half).astype(np.float32) / np.float32(half))
    ratio = ratio / np.log(np.float32((max_distance - 1) / half)) * np.float32(half - 1)
    return np.where(far <= half, distance, np.sign(distance) * (np.ceil(ratio).astype(np.int64) + half))
