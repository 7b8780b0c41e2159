"""Activation functions by name."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

Function = Callable[[jax.Array], jax.Array]


def _gelu(x: jax.Array) -> jax.Array:
    """x Φ(x) by the error function (Hendrycks and Gimpel 2016); jax.nn's takes its complement, which costs twice that
    to be exact where x Φ(x) is none but a rounding away from zero."""
    return 0.5 * x * (1.0 + jax.lax.erf(x * 0.5**0.5))


def _wide(function: Function) -> Function:
    """The function in float32, rounded once: in bfloat16 each of its steps would be rounded, which costs time too.

    For its gradient x alone is kept; as soon as x is read the rest is cheaper to compute than to read.
    """

    @jax.checkpoint
    @functools.wraps(function)
    def activation(x: jax.Array) -> jax.Array:
        return function(x.astype(jnp.float32)).astype(x.dtype)

    return activation


ACTIVATIONS: dict[str, Function] = {
    "relu": jax.nn.relu,
    "gelu": _wide(_gelu),
    "gelu_tanh": _wide(lambda x: jax.nn.gelu(x, approximate=True)),  # GPT-2's and T5 v1.1's
    "gelu_sigmoid": _wide(lambda x: x * jax.nn.sigmoid(1.702 * x)),  # the Sparse Transformer's
    "silu": _wide(jax.nn.silu),
    "tanh": _wide(jnp.tanh),
}
