"""What is to be made once is itself, with its gradient, and a barrier only where a compiler for CPUs would fuse it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention.once import once


def test_it_is_the_array_itself_and_so_is_its_gradient():
    x = jnp.linspace(-1.0, 1.0, 5)
    np.testing.assert_array_equal(once(x), x)
    np.testing.assert_array_equal(jax.grad(lambda x: (once(x) ** 2).sum())(x), 2 * x)


@pytest.mark.parametrize(("device", "barrier"), [("cpu", True), ("gpu", False), ("tpu", False)])
def test_only_compilers_for_cpus_meet_a_barrier(device, barrier, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    traced = jax.make_jaxpr(lambda x: once(x))(1.0)  # a function of its own, as JAX remembers what it has traced
    assert ("optimization_barrier" in str(traced)) == barrier
