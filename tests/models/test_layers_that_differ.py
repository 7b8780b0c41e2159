"""What is of one layer and not of the stack: a relative bias of its own, and logits divided by its number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of

from t2t.attention import Dense, Sparse
from t2t.errors import ConfigError
from t2t.layers.positions import SMALL_BIAS, RelativeBias
from t2t.models import ModelConfig, build, restack

CONFIG = ModelConfig(
    architecture="encoder",
    vocab_size=19,
    width=8,
    heads=2,
    mlp_width=12,
    encoder_layers=4,
    positions="relative_bias",
    relative_buckets=6,
    relative_max_distance=7,
    attention=(Dense(), Sparse(pattern="local(3)")),
)
EACH = dataclasses.replace(CONFIG, relative_every_layer=True)
BATCH = {"encoder_inputs": jnp.asarray(np.random.default_rng(1).integers(0, 19, (2, 9)), jnp.int32)}


def logits(config, params):
    return jax.jit(lambda p: build(config).apply({"params": p}, BATCH))(params)


def test_each_layer_has_a_table_of_its_own():
    params = params_of(EACH)
    tables = [params["encoder"][f"layer_{i}"].pop("relative_bias") for i in range(4)]
    shared = {**params, "encoder": {**params["encoder"], "relative_bias": tables[0]}}
    for i in range(4):
        params["encoder"][f"layer_{i}"]["relative_bias"] = tables[0]
    np.testing.assert_allclose(logits(EACH, params), logits(CONFIG, shared), atol=1e-5)
    params["encoder"]["layer_3"]["relative_bias"] = tables[1]
    assert not np.allclose(logits(EACH, params), logits(CONFIG, shared), atol=1e-2)


def test_the_number_of_a_layer_divides_its_logits():
    config = dataclasses.replace(CONFIG, positions="none", scale_attention_by_layer=True)
    plain, params = dataclasses.replace(config, scale_attention_by_layer=False), params_of(config)
    divided = jax.tree.map(lambda x: x, params)
    for i in range(4):
        query = divided["encoder"][f"layer_{i}"]["self_attention"]["query"]
        divided["encoder"][f"layer_{i}"]["self_attention"]["query"] = jax.tree.map(lambda x, i=i: x / (i + 1), query)
    np.testing.assert_allclose(logits(config, params), logits(plain, divided), atol=1e-5)
    assert not np.allclose(logits(config, params), logits(plain, params), atol=1e-2)


@pytest.mark.parametrize("remat", ["none", "full"])
@pytest.mark.parametrize(
    "config", [EACH, dataclasses.replace(CONFIG, scale_attention_by_layer=True)], ids=["bias", "number"]
)
def test_scanned_equals_unrolled(config, remat):
    config, params = dataclasses.replace(config, remat=remat), params_of(config)
    scanned = dataclasses.replace(config, stacking="scanned")
    np.testing.assert_allclose(logits(scanned, restack(params, scanned)), logits(config, params), atol=1e-5)


def test_a_small_bias_is_an_array_and_a_large_one_is_made_as_it_is_needed():
    bias = RelativeBias(jnp.asarray(params_of(EACH)["encoder"]["layer_0"]["relative_bias"]["table"]), True, 7)
    assert bias.of_row(9).shape == (1, 2, 9, 9)
    assert bias.of_row(int((SMALL_BIAS / 2) ** 0.5) + 1) is bias


def test_a_bias_of_each_layer_needs_relative_positions():
    with pytest.raises(ConfigError, match="relative_every_layer is of positions 'relative_bias', found 'none'"):
        dataclasses.replace(EACH, positions="none")
