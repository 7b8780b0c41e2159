"""Normalisation over a width, in float32 whatever the dtype of the computation."""

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers.config import LayerConfig


@flax.struct.dataclass
class Normalise:
    """A norm as a value.

    Attributes:
      scale: float32 [d].
      bias: float32 [d], of a layer norm.
    """

    scale: jax.Array
    bias: jax.Array | None
    config: LayerConfig = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [... d] → [... d] in the dtype of the computation."""
        x = x.astype(jnp.float32)
        if self.bias is not None:
            x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + self.config.norm_epsilon) * self.scale
        return (x if self.bias is None else x + self.bias).astype(self.config.compute_dtype)


class Norm(nn.Module):
    """Layer norm (Ba et al. 2016: mean, variance, scale and bias) or RMS norm (Zhang & Sennrich 2019: scale only)."""

    config: LayerConfig

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [... d], of whatever width → [... d] in the dtype of the computation."""
        return self.of(x.shape[-1])(x)

    @nn.compact
    def of(self, width: int) -> Normalise:
        """The norm of a width as a value, for where modules cannot go."""

        def weights(name, init):
            return self.param(name, nn.with_logical_partitioning(init, ("embed",)), (width,), jnp.float32)

        scale = weights("scale", nn.initializers.ones)
        bias = weights("bias", nn.initializers.zeros) if self.config.norm == "layer" else None
        return Normalise(scale, bias, self.config)
