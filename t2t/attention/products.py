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
    of_x, of_y = jnp.einsum(subscripts, dx, y), _of_second(subscripts, x, dy)
    return wide_einsum(subscripts, x, y), of_x.astype(jnp.float32) + of_y.astype(jnp.float32)


def _of_second(subscripts: str, x: jax.Array, dy: jax.Array) -> jax.Array:
    """einsum of x and dy. Where it is one for each of a batch it is so put that a CPU turns the gradient which comes
    back, [… n m], before it multiplies it with x: for a product along other axes than the last XLA has no fast kernel
    in bfloat16 there."""
    operands, result = subscripts.split("->")
    first, second = operands.split(",")
    if not set(first) & set(second) & set(result):
        return jnp.einsum(subscripts, x, dy)
    turned = jnp.einsum(f"{second},{first}->{result[:-2]}{result[-1]}{result[-2]}", dy, x)
    turned = jax.lax.platform_dependent(turned, cpu=jax.lax.optimization_barrier, default=lambda products: products)
    return jnp.swapaxes(turned, -2, -1)
