"""Mechanisms that take turns, and others in the encoder, in the decoder and between them."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of
from flax import linen as nn

from t2t.attention import Dense, Linformer, Mechanism, Parameter, Sparse
from t2t.errors import ConfigError
from t2t.models import ModelConfig, abstract_params, build, init_cache, reorder, reorder_beams, repeat, restack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean(Mechanism):
    """gain · the mean of all values that may be seen + offset: unlike dense attention in all that layers might rely on.
    `gain` is each layer's own, `offset` all layers share; the state is a sum and a count, and no row a position."""

    name: Literal["mean"] = "mean"
    offsets: int = 1
    cached: bool = True

    def check(self, *, causal, cross, positions):
        if positions == "rotary":
            raise ValueError("Mean knows no positions: use Dense.")
        if causal and not self.cached:
            raise ValueError("Mean(cached=False) is for encoders.")
        if cross and self.offsets != 1:
            raise ValueError("Mean looks across with one offset.")

    def parameters(self, sizes):
        return {
            "gain": Parameter((sizes.heads, sizes.head_width), ("heads", "kv"), std=0.5, mean=1.0),
            "offset": Parameter((self.offsets, sizes.head_width), (None, "kv"), std=0.5, shared=True),
        }

    def init_state(self, batch, length, sizes, dtype):
        return jnp.zeros((batch, sizes.heads, sizes.head_width), dtype), jnp.zeros((batch,), dtype), jnp.zeros(())

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        (b, n), m = query.shape[:2], value.shape[1]
        pairs = jnp.broadcast_to(conditions.pattern.mask(n, m), (b, n, m))
        if conditions.key_segments is not None:
            keys = conditions.key_segments
            pairs = pairs & (conditions.query_segments[:, :, None] == keys[:, None]) & (keys > 0)[:, None]
        total, count = jnp.einsum("bnm,bmhk->bnhk", pairs.astype(value.dtype), value), pairs.sum(-1)
        if state is not None:
            total, count = total + state[0][:, None], count + state[1][:, None]
            state = total[:, -1], count[:, -1], state[2] + n
        mean = total / jnp.maximum(count, 1)[..., None, None]
        return parameters["gain"] * mean + parameters["offset"].sum(0), state


CONFIG = ModelConfig(
    architecture="encoder-decoder",
    vocab_size=37,
    width=8,
    heads=2,
    mlp_width=12,
    encoder_layers=2,
    decoder_layers=6,
    positions="none",
    attention=Mean(offsets=3),
    decoder_attention=(Dense(), Mean(), Mean(offsets=2)),
    cross_attention=Mean(),
)
SCANNED = dataclasses.replace(CONFIG, stacking="scanned")


def shapes_of(config):
    return nn.meta.unbox(abstract_params(config))


@pytest.fixture(scope="module")
def params():
    return params_of(CONFIG)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    batch = {
        f"{side}_inputs": generator.integers(1, 37, (2, n)).astype(np.int32)
        for side, n in (("encoder", 9), ("decoder", 6))
    }
    return batch | {name.replace("inputs", "segments"): np.ones_like(x) for name, x in batch.items()}


def test_every_mechanism_has_parameters_of_its_own():
    tree = shapes_of(SCANNED)
    decoder = tree["decoder"]
    assert set(decoder["layers"]) == {"block_0", "block_1", "block_2"}
    assert "gain" not in decoder["layers"]["block_0"]["self_attention"]
    assert decoder["layers"]["block_1"]["self_attention"]["gain"].shape == (2, 2, 4)
    assert decoder["layers"]["block_1"]["cross_attention"]["gain"].shape == (2, 2, 4)
    shared = {
        f"{side}/{name}": value["offset"].shape
        for side in ("encoder", "decoder")
        for name, value in tree[side].items()
        if name.startswith("shared")
    }
    assert shared == {
        "encoder/shared_self_attention_0": (3, 4),
        "decoder/shared_self_attention_1": (1, 4),
        "decoder/shared_self_attention_2": (2, 4),
        "decoder/shared_cross_attention": (1, 4),
    }
    axes = abstract_params(SCANNED)["decoder"]["layers"]["block_2"]["self_attention"]["gain"].names
    assert axes == ("layers", "heads", "kv")


def test_scanned_turns_equal_unrolled_ones(params, batch):
    def loss(params, config):
        return jnp.sin(build(config).apply({"params": params}, batch)).sum()

    both = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    value, gradient = both(params, CONFIG)
    of_mechanisms = [g for path, g in jax.tree.leaves_with_path(gradient) if path[-1].key in ("gain", "offset")]
    assert len(of_mechanisms) == 2 + 4 + 6 + 4  # encoder, decoder, across, shared
    assert all(jnp.abs(g).max() > 0 for g in of_mechanisms)
    scanned = restack(params, SCANNED)
    assert jax.tree.map(jnp.shape, scanned) == jax.tree.map(jnp.shape, shapes_of(SCANNED))
    found, found_gradient = both(scanned, dataclasses.replace(SCANNED, remat="full"))
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-4)
    back = restack(found_gradient, CONFIG)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4), back, gradient)


def test_scanned_parameters_serve_another_number_of_turns(batch):
    one = dataclasses.replace(SCANNED, attention=Dense(), decoder_attention=None, cross_attention=Dense())
    two = dataclasses.replace(one, attention=(Dense(), Dense()))
    assert shapes_of(dataclasses.replace(one, attention=(Dense(),))) == shapes_of(one)
    params = params_of(one)
    expected, found = (jax.jit(build(c).apply)({"params": restack(params, c)}, batch) for c in (one, two))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, restack(restack(params, two), one), params)


@pytest.mark.parametrize("config", [CONFIG, SCANNED], ids=["unrolled", "scanned"])
def test_cached_turns_equal_uncached_ones(params, batch, config):
    params = restack(params, config)
    model = build(config)
    expected = jax.jit(model.apply)({"params": params}, batch)

    @jax.jit
    def decode(tokens, cache, **first):
        return model.apply({"params": params}, tokens, cache=cache, method="decode", **first)

    segments = batch["encoder_segments"]
    encoded = model.apply({"params": params}, batch["encoder_inputs"], segments, method="encode")
    tokens, cache, found = batch["decoder_inputs"], init_cache(config, 2, 8), []
    logits, cache = decode(tokens[:, :3], cache, encoded=encoded, encoder_segments=segments)
    found.append(logits)
    for i in range(3, 6):
        logits, cache = decode(tokens[:, i : i + 1], cache)
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, axis=1), expected, atol=2e-5)
    assert cache.room == 8
    a, _ = decode(tokens[:, :1], cache)
    b, _ = decode(tokens[::-1, :1], reorder(cache, jnp.asarray([1, 0])))
    np.testing.assert_allclose(a[::-1], b, atol=1e-5)
    doubled = repeat(cache, 2)
    c, _ = decode(np.repeat(tokens[:, :1], 2, axis=0), doubled)
    np.testing.assert_allclose(c, np.repeat(a, 2, axis=0), atol=1e-5)
    index = jnp.asarray([1, 1, 2, 3])
    jax.tree.map(np.testing.assert_array_equal, reorder_beams(doubled, index), reorder(doubled, index))


def test_a_low_rank_encoder_and_a_decoder_of_alternating_windows(batch):
    config = dataclasses.replace(
        CONFIG,
        positions="rotary",
        attention=Linformer(length=12, rank=3, sharing="layer"),
        decoder_layers=4,
        decoder_attention=(Sparse(pattern="local(2)"), Dense()),
        cross_attention=Dense(),
    )
    params, scanned = params_of(config), dataclasses.replace(config, stacking="scanned")
    expected = jax.jit(build(config).apply)({"params": params}, batch)
    params, model, cache = restack(params, scanned), build(scanned), init_cache(scanned, 2, 8)
    states = [jax.tree.leaves(layer.attention)[0].shape for layer in cache.layers]
    assert states[0][2] < states[1][2] == 8  # a window is kept of the one, and all of the other
    encoded = model.apply({"params": params}, batch["encoder_inputs"], batch["encoder_segments"], method="encode")
    decode = jax.jit(
        lambda tokens, cache, **first: model.apply({"params": params}, tokens, cache=cache, method="decode", **first)
    )
    found, cache = decode(
        batch["decoder_inputs"][:, :1], cache, encoded=encoded, encoder_segments=batch["encoder_segments"]
    )
    found = [found]
    for i in range(1, 6):
        logits, cache = decode(batch["decoder_inputs"][:, i : i + 1], cache)
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, axis=1), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"decoder_layers": 4},
            "decoder_layers 4 is not a multiple of the 3 mechanisms that take turns in decoder_attention: make it 6",
        ),
        (
            {"attention": (Mean(), Dense(), Dense(), Mean())},
            "encoder_layers 2 is not a multiple of the 4 mechanisms that take turns in attention",
        ),
        ({"attention": ()}, "attention: expected a mechanism or several"),
        ({"attention": [Dense()]}, "attention: expected a mechanism such as"),
        ({"positions": "rotary"}, "^attention: Mean knows no positions: use Dense"),
        (
            {"attention": Mean(cached=False), "decoder_attention": None},
            r"^attention: Mean\(cached=False\) is for encoders",
        ),
        ({"decoder_attention": (Dense(), Mean(cached=False))}, r"^decoder_attention\[1\]: Mean\(cached=False\)"),
        ({"cross_attention": Mean(offsets=2)}, "^cross_attention: Mean looks across"),
        (
            {"architecture": "encoder", "decoder_layers": 0},
            "decoder_attention is of an 'encoder-decoder', found architecture 'encoder': set attention instead",
        ),
        (
            {"architecture": "decoder", "encoder_layers": 0, "decoder_attention": None},
            "cross_attention is of an 'encoder-decoder', found architecture 'decoder'",
        ),
    ],
)
def test_mechanisms_that_cannot_be_are_refused_by_field(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(CONFIG, **change)
