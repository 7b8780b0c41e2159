"""A linear map between the last axes of arrays, with logical axis names on its parameters."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn


class Projection(nn.Module):
    """y = x W + c, contracting the last axes of x.

    Attributes:
      in_shape: the axes of x that are contracted, e.g. (d,) or (h, k).
      out_shape: the axes of y in their place, e.g. (h, k) or (d,).
      axes: the logical names of in_shape + out_shape.
      kernel_init: of W [*in_shape, *out_shape].
      bias: whether there is c [*out_shape], from zeros.
      dtype: of the computation; parameters are float32.
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    kernel_init: nn.initializers.Initializer
    bias: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, frozen: bool = False) -> jax.Array:
        """x [..., *in_shape] → [..., *out_shape] in `dtype`; with `frozen`, no gradient goes to W and c."""
        kernel = self.param(
            "kernel",
            nn.with_logical_partitioning(self.kernel_init, self.axes),
            (*self.in_shape, *self.out_shape),
            jnp.float32,
        )
        if frozen:
            kernel = jax.lax.stop_gradient(kernel)
        # One plain matrix product over flattened axes: what every backend has its best kernel for.
        lead = x.shape[: x.ndim - len(self.in_shape)]
        matrix = kernel.astype(self.dtype).reshape(math.prod(self.in_shape), math.prod(self.out_shape))
        y = (x.astype(self.dtype).reshape(*lead, matrix.shape[0]) @ matrix).reshape(*lead, *self.out_shape)
        if self.bias:
            init = nn.with_logical_partitioning(nn.initializers.zeros, self.axes[len(self.in_shape) :])
            bias = self.param("bias", init, self.out_shape, jnp.float32)
            y = y + (jax.lax.stop_gradient(bias) if frozen else bias).astype(self.dtype)
        return y
