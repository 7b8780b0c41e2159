"""The projections around a mechanism."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.attention import Conditions, Dense, causal
from t2t.layers import LayerConfig
from t2t.layers.attention import Attention


@pytest.mark.parametrize(("head_width", "value_width"), [(3, 5), (5, 3)])
def test_values_of_another_width_equal_kernels_filled_with_zeros(head_width, value_width):
    narrow = LayerConfig(width=8, heads=2, head_width=head_width, value_width=value_width, mlp_width=8)
    both = dataclasses.replace(narrow, head_width=5, value_width=5)
    x = jax.random.normal(jax.random.key(0), (2, 7, 8))
    conditions = Conditions(pattern=causal())
    variables = nn.meta.unbox(Attention(narrow, Dense()).init(jax.random.key(1), x, x, conditions))
    params = jax.tree.map(lambda p: p + 0.1, variables["params"])
    assert params["query"]["kernel"].shape == (8, 2, head_width)
    assert params["out"]["kernel"].shape == (2, value_width, 8)

    def filled(p, axis):
        return jnp.pad(p, [(0, 5 - p.shape[axis]) if a == axis % p.ndim else (0, 0) for a in range(p.ndim)])

    wide = {name: jax.tree.map(lambda p: filled(p, -1), params[name]) for name in ("query", "key", "value")}
    wide["query"] = jax.tree.map(lambda p: p * (5 / head_width) ** 0.5, wide["query"])  # its scale is 1/sqrt(5)
    wide["out"] = {"kernel": filled(params["out"]["kernel"], 1), "bias": params["out"]["bias"]}
    found = Attention(narrow, Dense()).apply({"params": params}, x, x, conditions)[0]
    wanted = Attention(both, Dense()).apply({"params": wide}, x, x, conditions)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
