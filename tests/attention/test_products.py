"""A wide product accumulates in float32; its derivatives are those of a product, in the dtype of what it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention.products import wide_einsum


def arrays(dtype):
    keys = jax.random.split(jax.random.key(0), 2)
    return [jax.random.normal(key, shape).astype(dtype) for key, shape in zip(keys, ((2, 3, 5), (2, 7, 5)))]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_and_gradients(dtype):
    x, y = arrays(dtype)
    wide = [a.astype(jnp.float32) for a in (x, y)]

    def loss(product):
        return lambda x, y: jnp.sum(jnp.sin(product("bnk,bmk->bnm", x, y)))

    value, gradients = jax.jit(jax.value_and_grad(loss(wide_einsum), (0, 1)))(x, y)
    expected, others = jax.value_and_grad(loss(jnp.einsum), (0, 1))(*wide)
    assert wide_einsum("bnk,bmk->bnm", x, y).dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for found, other in zip(gradients, others):
        assert found.dtype == dtype
        np.testing.assert_allclose(found.astype(jnp.float32), other, atol=2e-6 if dtype == jnp.float32 else 0.03)
    if dtype == jnp.float32:
        along = [jnp.cos(a) for a in wide]
        for a, b in zip(jax.jvp(loss(wide_einsum), wide, along), jax.jvp(loss(jnp.einsum), wide, along)):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_no_product_of_the_backward_pass_is_wide():
    x, y = arrays(jnp.bfloat16)
    found = str(jax.make_jaxpr(jax.grad(lambda x: jnp.sum(jnp.sin(wide_einsum("bnk,bmk->bnm", x, y)))))(x))
    assert found.count("dot_general") == 3  # the values, and the gradient's with its tangent
    assert "f32[2,3,5]" not in found
