"""What a model reads: patches, hashes, molecules, and an encoder of its own choices beside a decoder."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.attention import Sparse
from t2t.config import as_dict
from t2t.config import build as build_config
from t2t.errors import ConfigError, DataError
from t2t.layers.hashing import Hashing
from t2t.layers.molecules import Molecules
from t2t.layers.patches import Patches
from t2t.models import ModelConfig, build, dummy_batch, init_cache, restack

BASE = dict(width=8, heads=2, mlp_width=12, init="normal", init_std=0.4)
PATCHES = Patches(image=(6, 8), patch=(3, 2), channels=2)
VIT = ModelConfig(
    **BASE, architecture="encoder", encoder_layers=2, positions="learned", max_length=9, patches=PATCHES, outputs=()
)
MOLECULES = ModelConfig(
    **BASE,
    architecture="encoder",
    encoder_layers=4,
    attention=(Sparse(pattern="local(2)"), Sparse(pattern="local(3)")),
    positions="learned",
    max_length=20,
    hashing=Hashing(functions=2, buckets=20),
    molecules=Molecules(rate=2, first=Sparse(pattern="blocks(4)", counted="row")),
    outputs=("sequence",),
    pooler="tanh",
)
CAPTIONS = ModelConfig(
    **{**BASE, "width": 12, "heads": 3},
    vocab_size=37,
    decoder_layers=2,
    encoder=VIT,
    positions="rotary",
    norm="rms",
)


def params_of(config):
    batch = dummy_batch(config)
    return nn.meta.unbox(jax.jit(build(config).init)(jax.random.key(0), batch))["params"]


def images(n=2, sides=(6, 8)):
    return jax.random.normal(jax.random.key(3), (n, *sides, 2))


def test_images_of_another_size_are_read_where_positions_stretch():
    params, model = params_of(VIT), build(VIT)
    states = model.apply({"params": params}, images(), method="encode")
    larger = model.apply({"params": params}, images(sides=(9, 8)), method="encode")
    assert states.shape == (2, 9, 8)
    assert larger.shape == (2, 13, 8)
    still = build(dataclasses.replace(VIT, patches=dataclasses.replace(PATCHES, interpolate=False)))
    np.testing.assert_array_equal(still.apply({"params": params}, images(), method="encode"), states)
    with pytest.raises(DataError, match="resize them"):
        still.apply({"params": params}, images(sides=(9, 8)), method="encode")


def test_molecules_are_the_same_scanned_and_unrolled():
    tokens = jax.random.randint(jax.random.key(1), (2, 11), 0, 0x10FFFF)
    batch = {"encoder_inputs": tokens, "encoder_segments": jnp.asarray([[1] * 11, [1] * 6 + [0] * 5])}
    params, scanned = params_of(MOLECULES), dataclasses.replace(MOLECULES, stacking="scanned")
    expected = build(MOLECULES).apply({"params": params}, batch)
    found = build(scanned).apply({"params": restack(params, scanned)}, batch)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, restack(restack(params, scanned), MOLECULES), params)


def test_padding_after_a_row_changes_nothing_before_it():
    tokens = jax.random.randint(jax.random.key(1), (1, 14), 0, 0x10FFFF)
    segments = jnp.asarray([[1] * 6 + [0] * 8])
    model, params = build(MOLECULES), params_of(MOLECULES)
    found = model.apply({"params": params}, tokens, segments, method="encode")
    other = model.apply({"params": params}, tokens.at[:, 9:].set(7), segments, method="encode")
    np.testing.assert_allclose(found[:, :6], other[:, :6], atol=1e-5)  # a kernel reads two places of padding


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_an_encoder_of_its_own_is_decoded_from_with_a_cache(stacking):
    config = dataclasses.replace(CAPTIONS, stacking=stacking)
    assert config.encoder.stacking == stacking
    assert config.encoder_layers == 2
    params, model = params_of(config), build(config)
    tokens = jax.random.randint(jax.random.key(2), (2, 5), 0, 37)
    expected = model.apply({"params": params}, {"encoder_pixels": images(), "decoder_inputs": tokens})
    encoded = model.apply({"params": params}, images(), method="encode")
    assert encoded.shape == (2, 9, 8)
    cache = init_cache(config, 2, 5)
    for i in range(5):
        given = encoded if i == 0 else None
        logits, cache = model.apply({"params": params}, tokens[:, i : i + 1], given, cache=cache, method="decode")
        np.testing.assert_allclose(logits[:, 0], expected[:, i], atol=2e-5)


@pytest.mark.parametrize("config", [VIT, MOLECULES, CAPTIONS])
def test_configs_are_values_that_are_saved_and_built_again(config):
    assert build_config(ModelConfig, as_dict(config)) == config
    hash(config)


@pytest.mark.parametrize(
    ("config", "changes", "told"),
    [
        (VIT, {"max_length": 8}, "patches make 9 tokens"),
        (VIT, {"token_types": 2}, "token_types"),
        (VIT, {"outputs": ("vocabulary",), "vocab_size": 5}, "tie_logits"),
        (MOLECULES, {"hashing": Hashing(functions=3)}, "share the width 8"),
        (MOLECULES, {"positions": "rotary"}, "positions 'rotary'"),
        (CAPTIONS, {"patches": PATCHES}, "architecture 'encoder'"),
        (CAPTIONS, {"molecules": Molecules()}, "molecules are of an encoder"),
        (CAPTIONS, {"encoder": dataclasses.replace(VIT, outputs=("sequence",))}, "outputs"),
        (CAPTIONS, {"encoder_layers": 3}, "leave them out"),
    ],
)
def test_impossible_pairs_are_refused(config, changes, told):
    with pytest.raises(ConfigError, match=told):
        dataclasses.replace(config, **changes)
