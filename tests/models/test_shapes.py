"""The shapes of parameters are those that a model begins with, with their axes' names, however layers are stacked."""

import dataclasses

import jax
import pytest

from t2t.attention import Linformer, Sparse, causal, local, strided
from t2t.models import ModelConfig, abstract_params, build, dummy_batch

SMALL = dict(vocab_size=11, width=8, heads=2, head_width=4, mlp_width=12, max_length=16)
CONFIGS = {
    "encoder-decoder": ModelConfig(encoder_layers=3, decoder_layers=2, positions="relative_bias", **SMALL),
    "encoder": ModelConfig(
        architecture="encoder", encoder_layers=4, outputs=("vocabulary", "pair"), pooler="tanh", **SMALL
    ),
    "turns": ModelConfig(
        architecture="decoder",
        decoder_layers=4,
        attention=(Sparse(pattern=causal() & local(2)), Sparse(pattern=causal() & strided(2))),
        **SMALL,
    ),
    "shared by layers": ModelConfig(
        architecture="encoder", encoder_layers=2, attention=Linformer(rank=4, length=16, sharing="layer"), **SMALL
    ),
    "sets of parameters": ModelConfig(architecture="encoder", encoder_layers=3, sharing=(0, 1, 0), **SMALL),
    "sets of parameters of an encoder with choices of its own": ModelConfig(
        decoder_layers=2,
        encoder=ModelConfig(architecture="encoder", encoder_layers=3, sharing=(0, 1, 0), outputs=(), **SMALL),
        **SMALL,
    ),
    "rematerialised": ModelConfig(architecture="decoder", decoder_layers=2, remat="full", **SMALL),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_are_those_of_init(name):
    config = CONFIGS[name]
    several = any(len(set(layers.sharing)) > 1 for layers in config.stacks.values())
    for stacking in ("unrolled",) if several else ("unrolled", "scanned"):
        config = dataclasses.replace(config, stacking=stacking)
        began = jax.eval_shape(build(config).init, jax.random.key(0), dummy_batch(config))["params"]
        found = abstract_params(config)
        assert jax.tree.structure(found) == jax.tree.structure(began)  # boxes are in it, with names
        assert [(x.shape, x.dtype) for x in jax.tree.leaves(found)] == [
            (x.shape, x.dtype) for x in jax.tree.leaves(began)
        ]
