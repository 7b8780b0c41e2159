"""Activations equal their published formulas in float64, values and gradients, and in bfloat16 are rounded once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from t2t.layers.activations import ACTIVATIONS

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
    "gelu_sigmoid": lambda x: x / (1.0 + np.exp(-1.702 * x)),
    "silu": lambda x: x / (1.0 + np.exp(-x)),
    "tanh": np.tanh,
}
POINTS = np.linspace(-9.0, 9.0, 722)  # without 0, where relu has no derivative


def test_all_have_a_formula():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_gradients(name):
    x, formula = POINTS.astype(np.float32), FORMULAS[name]
    exact, step = x.astype(np.float64), 1e-5
    found, gradient = jax.jit(jax.vmap(jax.value_and_grad(ACTIVATIONS[name])))(x)
    np.testing.assert_allclose(found, formula(exact), atol=2e-6)
    np.testing.assert_allclose(gradient, (formula(exact + step) - formula(exact - step)) / (2 * step), atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_bfloat16_is_rounded_once(name):
    x = jnp.asarray(POINTS, jnp.bfloat16)
    found = ACTIVATIONS[name](x)
    assert found.dtype == jnp.bfloat16
    wide = ACTIVATIONS[name](x.astype(jnp.float32))
    np.testing.assert_array_equal(found, wide.astype(jnp.bfloat16))


@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"relu"}))
def test_the_input_alone_is_kept_for_the_gradient(name):
    _, back = jax.vjp(ACTIVATIONS[name], jnp.ones((7, 5), jnp.bfloat16))
    assert [x.shape for x in jax.tree.leaves(back) if np.shape(x)] == [(7, 5)]
