"""A convolution over what goes into a stack, which joins the states after the first layer (DeBERTa-v2, He et al. 2021:
its extra large models)."""

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers.activations import ACTIVATIONS
from t2t.layers.config import LayerConfig
from t2t.layers.dropout import Dropout
from t2t.layers.init import initializer
from t2t.layers.norm import Norm, Normalise


@flax.struct.dataclass
class Joining:
    """What joins the states as a value, since the layer where it does may be scanned over.

    Attributes:
      features: [b n d].
      norm: of the sum.
      real: booleans [b n 1], where there is no padding, which becomes 0; None where nothing is padding.
    """

    features: jax.Array
    norm: Normalise
    real: jax.Array | None

    def __call__(self, x: jax.Array) -> jax.Array:
        """States [b n d] → norm(states + features)."""
        x = self.norm(x + self.features)
        return x if self.real is None else jnp.where(self.real, x, jnp.zeros((), x.dtype))


class Convolution(nn.Module):
    """activation(sum over taps t of x_{i + t} W_t + c), over the neighbours of a position in its own document."""

    config: LayerConfig

    @nn.compact
    def __call__(self, x: jax.Array, segments: jax.Array | None) -> Joining:
        """x [b n d] and segments int [b n], 0 on padding, which no tap reads."""
        config, d = self.config, x.shape[-1]
        taps, groups = config.convolution, config.convolution_groups
        kernel = self.param(
            "kernel",
            nn.with_logical_partitioning(initializer(config, "mlp_in"), (None, None, "embed")),
            (taps, d // groups, d),
            jnp.float32,
        )
        bias = self.param("bias", nn.with_logical_partitioning(nn.initializers.zeros, ("embed",)), (d,), jnp.float32)
        near = jnp.stack([_neighbours(x, segments, t - taps // 2) for t in range(taps)], axis=2)  # [b n t d]
        near = near.reshape(*near.shape[:3], groups, d // groups)
        kernel = kernel.astype(x.dtype).reshape(taps, d // groups, groups, d // groups)
        y = jnp.einsum("bntgi,tigo->bngo", near, kernel).reshape(x.shape) + bias.astype(x.dtype)
        y = ACTIVATIONS[config.convolution_activation](Dropout(config.dropout, config.dropout_over_length)(y))
        return Joining(y, Norm(config, name="norm").of(d), None if segments is None else segments[..., None] > 0)


def _neighbours(x: jax.Array, segments: jax.Array | None, distance: int) -> jax.Array:
    """x_{i + distance} for each position i of [b n d], 0 where that is not in its segment."""
    before, after = max(-distance, 0), max(distance, 0)

    def shifted(y):
        n, rest = y.shape[1], [(0, 0)] * (y.ndim - 2)
        return jnp.pad(y, [(0, 0), (before, after), *rest])[:, after : after + n]

    if segments is None or not distance:
        return shifted(x)
    return jnp.where((shifted(segments) == segments)[..., None], shifted(x), jnp.zeros((), x.dtype))
