"""The affine map has the derivatives of x w + c, forward and backward, in both dtypes, whatever else is asked of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.layers.projection import affine


def plain(x, w, c):
    y = jnp.einsum("...d,de->...e", x, w)
    return y if c is None else y + c


def arrays(dtype=jnp.float32, bias=True):
    keys = jax.random.split(jax.random.key(0), 3)
    x, w, c = (jax.random.normal(key, shape) for key, shape in zip(keys, ((2, 3, 5), (5, 7), (7,))))
    return x.astype(dtype), w.astype(dtype), c.astype(dtype) if bias else None


def loss(f):
    return lambda x, w, c: jnp.sum(jnp.sin(f(x, w, c).astype(jnp.float32)))


def close(found, expected, tolerance=1e-6):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.asarray(a, np.float32), np.asarray(b, np.float32), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_and_gradients(dtype, bias):
    given = arrays(dtype, bias)
    asked = (0, 1, 2) if bias else (0, 1)
    found = jax.jit(jax.value_and_grad(loss(affine), asked))(*given)
    close(found, jax.value_and_grad(loss(plain), asked)(*given), 1e-6 if dtype == jnp.float32 else 0.03)


@pytest.mark.parametrize("asked", [0, 1, 2])
def test_each_gradient_alone(asked):
    close(jax.grad(loss(affine), asked)(*arrays()), jax.grad(loss(plain), asked)(*arrays()))


def test_forward_mode_second_derivatives_and_maps():
    given = arrays()
    along = jax.tree.map(jnp.cos, given)
    close(jax.jvp(loss(affine), given, along), jax.jvp(loss(plain), given, along))
    for twice in (
        lambda f: jax.jvp(jax.grad(loss(f), (0, 1, 2)), given, along),
        lambda f: jax.grad(lambda w: jax.grad(loss(f), 1)(given[0], w, given[2]).sum())(given[1]),
        lambda f: jax.vmap(jax.grad(loss(f), 1), (0, None, None))(*given),
        lambda f: jax.grad(jax.checkpoint(loss(f)), 1)(*given),
    ):
        close(twice(affine), twice(plain), 1e-5)


def test_what_is_held_fixed_costs_no_product():
    """With nothing but x varied, nothing is computed for w and c; and none for x, where it is fixed."""
    x, w, c = arrays()
    assert str(jax.make_jaxpr(jax.grad(loss(affine), 0))(x, w, c)).count("dot_general") == 2
    assert str(jax.make_jaxpr(jax.grad(loss(affine), 1))(x, w, c)).count("dot_general") == 2
