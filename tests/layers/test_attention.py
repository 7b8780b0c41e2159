"""The projections around a mechanism."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.attention import Conditions, Dense, Disentangled, causal
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


def test_each_projection_may_have_a_bias_or_not():
    x, plain = jnp.ones((1, 3, 8)), LayerConfig(width=8, heads=2, mlp_width=8)
    for given, wanted in (
        ({}, {"query", "key", "value", "out"}),
        ({"bias": False}, set()),
        ({"attention_bias": ("query", "value", "out")}, {"query", "value", "out"}),
        ({"attention_bias": ("out",), "bias": False}, {"out"}),
    ):
        layer = Attention(dataclasses.replace(plain, **given), Dense())
        made = jax.eval_shape(layer.init, jax.random.key(0), x, x, Conditions())["params"]
        assert {role for role, weights in made.items() if "bias" in weights} == wanted


def test_a_table_of_places_is_dropped_out_as_features_are():
    mechanism = Disentangled(span=4)
    layer = Attention(LayerConfig(width=8, heads=2, mlp_width=8, dropout=0.5), mechanism)
    x = jax.random.normal(jax.random.key(0), (2, 5, 8))
    shared = {"table": jax.random.normal(jax.random.key(1), (8, 8))}
    params = layer.init(jax.random.key(2), x, x, Conditions(), shared=shared)

    def run(table, **rngs):
        return layer.apply(params, x, x, Conditions(), shared={"table": table}, rngs=rngs)[0]

    dropped = run(shared["table"], dropout=jax.random.key(3))
    assert not np.allclose(dropped, run(shared["table"]))
    none = jnp.zeros_like(shared["table"])  # nothing but the table is dropped out here
    np.testing.assert_array_equal(run(none, dropout=jax.random.key(3)), run(none))
