"""Normalisation over a width, in float32 whatever the dtype of the computation."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers.config import LayerConfig


class Norm(nn.Module):
    """Layer norm (Ba et al. 2016: mean, variance, scale and bias) or RMS norm (Zhang & Sennrich 2019: scale only)."""

    config: LayerConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [... d], of whatever width → [... d] in the dtype of the computation."""
        config, width = self.config, x.shape[-1]
        scale = self.param(
            "scale", nn.with_logical_partitioning(nn.initializers.ones, ("embed",)), (width,), jnp.float32
        )
        x = x.astype(jnp.float32)
        if config.norm == "layer":
            x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + config.norm_epsilon) * scale
        if config.norm == "layer":
            x = x + self.param(
                "bias", nn.with_logical_partitioning(nn.initializers.zeros, ("embed",)), (width,), jnp.float32
            )
        return x.astype(config.compute_dtype)
