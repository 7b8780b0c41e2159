"""Targets of a model whose words are in clusters are scored without the logits of all words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.attention.recurrent import Recurrent
from t2t.inference.consecutive import score_segment
from t2t.inference.programs import score_batch, token_scores
from t2t.layers.adaptive import Adaptive
from t2t.models import ModelConfig, build, dummy_batch, init_cache

CONFIG = ModelConfig(
    architecture="decoder", decoder_layers=1, vocab_size=97, width=16, heads=2, mlp_width=16, max_length=32,
    attention=Recurrent(memory=8), positions="none", adaptive=Adaptive(cutoffs=(10, 40), divisor=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    module = build(CONFIG)
    params = nn.meta.unbox(module.init(jax.random.key(0), dummy_batch(CONFIG))["params"])
    keys = jax.random.split(jax.random.key(1), len(jax.tree.leaves(params)))
    noise = jax.tree.unflatten(jax.tree.structure(params), list(keys))
    return module, jax.tree.map(lambda p, key: p + 0.3 * jax.random.normal(key, p.shape), params, noise)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    tokens = jnp.asarray(generator.integers(0, 97, (3, 13)), jnp.int32)
    return {
        "decoder_inputs": tokens,
        "decoder_segments": jnp.ones_like(tokens),
        "decoder_positions": jnp.broadcast_to(jnp.arange(13), (3, 13)),
        "targets": jnp.asarray(generator.integers(0, 97, (3, 13)), jnp.int32),
        "loss_weights": jnp.asarray(generator.random((3, 13)) < 0.8, jnp.float32),
    }


def test_scores_are_those_of_the_logits(model, batch):
    module, params = model
    logits = module.apply({"params": params}, batch)
    for targets in (batch["targets"], logits.argmax(-1)):
        given = {**batch, "targets": targets}
        expected, likeliest = token_scores(logits, given)
        logp, right = score_batch(params, given, model=module)
        np.testing.assert_allclose(logp, expected, atol=1e-5)
        assert not np.any(right & ~likeliest)
    assert right.any()  # of the likeliest words some are likelier than each cluster


def test_segments_have_the_scores_of_the_whole(model, batch):
    module, params = model
    cache = init_cache(CONFIG, 3, 13)
    logp, _, after = score_segment(params, batch, cache, model=module)
    logits, expected = module.apply(
        {"params": params}, batch["decoder_inputs"], segments=batch["decoder_segments"],
        positions=batch["decoder_positions"], cache=init_cache(CONFIG, 3, 13), method="decode",
    )  # fmt: skip
    np.testing.assert_allclose(logp, token_scores(logits, batch)[0], atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, expected)


def test_not_all_words_are_scored_for_all_tokens(model, batch):
    module, params = model
    programs = (
        score_batch.lower(params, batch, model=module),
        score_segment.lower(params, batch, None, model=module),
    )
    for program in programs:
        assert "f32[3,13,97]" not in program.compile().as_text()
    plain = jax.jit(lambda p, b: token_scores(module.apply({"params": p}, b), b)).lower(params, batch)
    assert "f32[3,13,97]" in plain.compile().as_text()
