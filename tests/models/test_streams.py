"""Two streams: queries at given places see tokens and are seen by nobody; and encoders that remember."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of

from t2t.attention import Dense, Performer, XLNet
from t2t.errors import ConfigError, DataError
from t2t.models import ModelConfig, build, init_memory
from t2t.models.mems import memory_of, mems_after

BASE = ModelConfig(
    architecture="encoder", vocab_size=37, width=8, heads=2, mlp_width=12, encoder_layers=2, positions="none",
    attention=XLNet(memory=5), query_stream=True, init="normal", init_std=0.5,
)  # fmt: skip
EVERY = {
    "xlnet": BASE,
    "dense": dataclasses.replace(BASE, attention=Dense(), positions="learned", max_length=9, token_types=2),
    "scanned": dataclasses.replace(BASE, stacking="scanned"),
}
GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.integers(1, 37, (2, 7)).astype(np.int32)
ORDER = np.stack([GENERATOR.permutation(7) for _ in range(2)])
MASK = (ORDER[:, :, None] > ORDER[:, None, :]).astype(np.int32)
PLACES = np.array([[2, 5, 0], [6, 1, -1]], np.int32)


def states(config, params, **features):
    batch = {f"encoder_{name}": value for name, value in features.items() if value is not None}
    return build(config).apply({"params": params}, batch, method="outputs")["states"]


@pytest.mark.parametrize("name", EVERY)
def test_a_query_depends_on_what_its_token_may_see_alone(name):
    """By the changes of its state when one token after the other becomes another."""
    config = EVERY[name]
    params, apply = (
        params_of(config),
        jax.jit(lambda tokens: states(config, params, inputs=tokens, mask=MASK, targets=PLACES)),
    )
    before = apply(TOKENS)
    for j in range(7):
        changed = np.abs(apply(np.where(np.arange(7) == j, 38 - TOKENS, TOKENS)) - before).max(-1) > 1e-6
        for row in range(2):
            for query, place in enumerate(PLACES[row]):
                sees = place >= 0 and ORDER[row, place] > ORDER[row, j]
                assert changed[row, query] == (sees and TOKENS[row, j] != 38 - TOKENS[row, j]), (row, place, j)


@pytest.mark.parametrize("name", EVERY)
def test_queries_change_no_token(name):
    config = EVERY[name]
    params, model = params_of(config), build(config)

    def tokens_with(places):
        batch = {"encoder_inputs": TOKENS, "encoder_mask": MASK, "encoder_targets": places}
        _, kept = model.apply({"params": params}, batch, method="outputs", mutable=["intermediates"])
        return jax.tree.map(lambda x: x[..., :7, :], kept["intermediates"]["encoder"])

    a, b = tokens_with(PLACES), tokens_with(PLACES[:, :1])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a, b)


def test_a_mask_in_dense_attention_is_the_causal_pattern_where_it_says_so():
    config = EVERY["dense"]
    params, mask = params_of(config), np.tril(np.ones((2, 7, 7), np.int32))
    segments = np.array([[1] * 7, [0, 0] + [1] * 5], np.int32)
    whole = states(config, params, inputs=TOKENS, segments=segments, mask=mask)
    for n in range(3, 8):
        cut = states(config, params, inputs=TOKENS[:, :n], segments=segments[:, :n], mask=mask[:, :n, :n])
        np.testing.assert_allclose(cut[:, -1], whole[:, n - 1], atol=1e-5)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_segments_with_a_memory_are_those_with_mems(stacking):
    config = dataclasses.replace(BASE, stacking=stacking)
    params, model, memory, mems = params_of(config), build(config), init_memory(config, 2), None
    for part in (TOKENS[:, :4], TOKENS[:, 4:]):
        batch = {"encoder_inputs": part, "encoder_types": part % 2}
        logits, memory = model.apply({"params": params}, batch, memory)
        given = () if mems is None else (memory_of(mems, config, 2),)
        found, kept = model.apply({"params": params}, batch, *given, method="outputs", mutable=["intermediates"])
        np.testing.assert_allclose(found["vocabulary"], logits, atol=1e-5)
        inner = kept["intermediates"]["encoder"]
        after = (
            inner["layers"]["after"][0] if stacking == "scanned" else [inner[f"layer_{i}"]["after"][0] for i in (0, 1)]
        )
        mems = mems_after(mems, [inner["before"][0], after[0]], config)
    assert [x.shape for x in mems] == [(5, 2, 8)] * 2
    hidden = [layer.attention.hidden for layer in memory.layers]
    hidden = hidden[0] if stacking == "scanned" else hidden
    for ours, theirs in zip(hidden, mems):
        np.testing.assert_allclose(jnp.moveaxis(ours, 0, 1), theirs, atol=1e-5)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="query_stream is of architecture 'encoder'"):
        dataclasses.replace(BASE, attention=Dense(), positions="rotary")
    config = dataclasses.replace(BASE, query_stream=False)
    with pytest.raises(DataError, match="leave them out"):
        states(config, params_of(config), inputs=TOKENS, targets=PLACES)
    config = dataclasses.replace(BASE, attention=Performer(features=8), query_stream=False)
    with pytest.raises(DataError, match="Performer takes no mask"):
        states(config, params_of(config), inputs=TOKENS, mask=MASK)
    with pytest.raises(DataError, match="mems: expected 2 arrays"):
        memory_of([np.zeros((3, 2, 8))], BASE, 2)
    with pytest.raises(ConfigError, match="cross-attention"):
        ModelConfig(
            width=8, heads=2, mlp_width=12, encoder_layers=1, decoder_layers=1, positions="none",
            cross_attention=XLNet(memory=0),
        )  # fmt: skip
