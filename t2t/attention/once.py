"""What a compiler for CPUs is to make once."""

import jax


def once(x: jax.Array) -> jax.Array:
    """The array itself. Compilers for CPUs would fuse what makes it into each of its uses anew, masks, products and
    all; on accelerators, where that is cheaper than memory, they may."""
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x
