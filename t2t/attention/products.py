"""Products of narrow arrays that stay wide."""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def wide_einsum(subscripts: str, x: jax.Array, y: jax.Array) -> jax.Array:
    """einsum of x and y of one dtype, accumulated and left in float32.

    Logits want this in bfloat16, whose steps of 1/256 are coarse for a softmax. Their gradient does not: it is rounded
    to the dtype of x and y, for without that the two products of the backward pass would run in float32, which is
    slower wherever bfloat16 has kernels of its own.
    """
    return jnp.einsum(subscripts, x, y, preferred_element_type=jnp.float32)


@wide_einsum.defjvp
def _wide_einsum_jvp(subscripts, primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    # The tangent is narrow, then widened: so its transpose narrows the gradient, then multiplies.
    of_x, of_y = jnp.einsum(subscripts, dx, y), jnp.einsum(subscripts, x, dy)
    return wide_einsum(subscripts, x, y), of_x.astype(jnp.float32) + of_y.astype(jnp.float32)
