"""A linear map between the last axes of arrays, with logical axis names on its parameters."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn


# The derivative is written out for how XLA computes it on a CPU: left to itself it takes up to four times as long for
# the backward pass. A barrier makes it keep an order. What comes back to y is made once and kept, or it would be made
# anew, along the wrong axis, for the gradient of w. That leaves its product as [e d] and is then turned, or the factors
# would be, into a product for which there is no fast kernel in bfloat16. And the gradient of c, a sum over all tokens,
# is a product with ones. Values are computed as ever.
@jax.custom_jvp
def affine(x: jax.Array, w: jax.Array, c: jax.Array | None) -> jax.Array:
    """x [… d], w [d e] and c [e] of one dtype → x w + c [… e]."""
    return x @ w if c is None else x @ w + c


@functools.partial(affine.defjvp, symbolic_zeros=True)
def _affine_jvp(primals, tangents):
    (x, w, c), (dx, dw, dc) = primals, tangents
    barrier, dy = jax.lax.optimization_barrier, []
    if _is_varied(dx):
        dy.append(dx @ w)
    if _is_varied(dw):
        dy.append(jax.lax.dot_general(x, barrier(dw.T), (((x.ndim - 1,), (1,)), ((), ()))))
    if _is_varied(dc):
        dy.append(jnp.tensordot(jnp.ones(x.shape[:-1], dc.dtype), dc, axes=0))
    y = affine(x, w, c)
    return y, barrier(sum(dy)) if dy else jnp.zeros_like(y)


def _is_varied(tangent) -> bool:
    return tangent is not None and not isinstance(tangent, jax.custom_derivatives.SymbolicZero)


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
        bias = None
        if self.bias:
            init = nn.with_logical_partitioning(nn.initializers.zeros, self.axes[len(self.in_shape) :])
            bias = self.param("bias", init, self.out_shape, jnp.float32)
            bias = (jax.lax.stop_gradient(bias) if frozen else bias).astype(self.dtype).reshape(-1)
        y = affine(x.astype(self.dtype).reshape(*lead, matrix.shape[0]), matrix, bias)
        return y.reshape(*lead, *self.out_shape)
