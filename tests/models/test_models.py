"""The three architectures: causality, padding, packing, scanning, remat, caching, dtypes and logical names."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of
from flax import linen as nn

from t2t.attention import Disentangled, Sparse
from t2t.errors import ConfigError
from t2t.layers import to_scanned, to_unrolled
from t2t.models import ModelConfig, abstract_params, build, init_cache, param_count, reorder, reorder_beams, repeat

BASE = dict(vocab_size=37, width=16, heads=2, mlp_width=24, max_length=24, init="normal", init_std=0.4)
AXES = {
    "t5": dict(
        norm="rms",
        bias=False,
        positions="relative_bias",
        relative_buckets=8,
        relative_max_distance=16,
        scale_attention=False,
    ),
    "post": dict(norm_place="post", final_norm=False, positions="sinusoidal", scale_embeddings=True, logits_bias=True),
    "gpt": dict(positions="learned", activation="gelu_tanh"),
    "bert": dict(
        norm_place="post",
        final_norm=False,
        positions="learned",
        position_offset=2,
        embedding_norm=True,
        embedding_width=10,
        logits_transform="gelu",
        logits_bias=True,
    ),
    "grid": dict(positions="learned", position_grid=(2, 4, 3), value_width=5, activation="gelu_sigmoid"),
    "llama": dict(
        norm="rms",
        bias=False,
        positions="rotary",
        rotary_fraction=0.5,
        gated=True,
        activation="silu",
        tie_logits=False,
        share_embeddings=False,
    ),
    "deberta": dict(
        norm_place="post",
        final_norm=False,
        positions="none",
        embedding_norm=True,
        embedding_width=10,
        embedding_norm_last=True,
        embedding_projection_bias=False,
        logits_transform="gelu",
        attention=Disentangled(span=6, buckets=4, table_norm=True),
        attention_bias=("query", "value", "out"),
        convolution=3,
        convolution_groups=2,
    ),
    "sparse": dict(
        norm="rms",
        bias=False,
        positions="relative_bias",
        relative_buckets=8,
        relative_max_distance=16,
        attention=Sparse(pattern="local(2) | global_tokens(2)"),
    ),
}
LAYERS = {
    "encoder": dict(encoder_layers=2),
    "decoder": dict(decoder_layers=3),
    "encoder-decoder": dict(encoder_layers=2, decoder_layers=3),
}
ONLY = {"sparse": "encoder-decoder", "deberta": "encoder"}
EVERY = [(a, x) for a in LAYERS for x in AXES if a == ONLY.get(x, a)]
# Every axis in the architecture that has most of what it can change, and one axis in each of the others.
WHOLE = [(a, x) for a, x in EVERY if a == "encoder-decoder" or x in ("gpt", *ONLY)]


def make(architecture, axes, **changes):
    return ModelConfig(architecture=architecture, **BASE, **AXES[axes], **LAYERS[architecture], **changes)


def random_batch(config, rows=2, n=9, m=6, seed=0):
    generator = np.random.default_rng(seed)
    sides = {
        "encoder": [("encoder", n)],
        "decoder": [("decoder", m)],
        "encoder-decoder": [("encoder", n), ("decoder", m)],
    }
    batch = {}
    for side, length in sides[config.architecture]:
        batch[f"{side}_inputs"] = generator.integers(1, 37, (rows, length)).astype(np.int32)
        batch[f"{side}_segments"] = np.ones((rows, length), np.int32)
        batch[f"{side}_positions"] = np.tile(np.arange(length, dtype=np.int32), (rows, 1))
    return batch


@functools.partial(jax.jit, static_argnames="config")
def logits(params, batch, config):
    """Of the whole model, compiled once for what several tests ask."""
    return build(config).apply({"params": params}, batch)


@pytest.mark.parametrize(("architecture", "axes"), WHOLE)
def test_scanned_and_remat_equal_unrolled(architecture, axes):
    config = make(architecture, axes)
    params, batch = params_of(config), random_batch(config)

    def loss(params, config):
        return jnp.sin(build(config).apply({"params": params}, batch)).sum()

    both = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    with jax.disable_jit():  # operation by operation: to write layers out makes the largest program
        value, gradient = both(params, config)
    # What is recomputed does not depend on the axes: every way with one of them, both at once with the others.
    alone = (("none", "scanned"), ("full", "unrolled"), ("dots", "scanned")) if axes == "t5" else ()
    for remat, stacking in (("full", "scanned"), *alone):
        other = dataclasses.replace(config, stacking=stacking, remat=remat)
        found, found_gradient = both(to_scanned(params) if stacking == "scanned" else params, other)
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-4)
        back = to_unrolled(found_gradient)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4), back, gradient)


@pytest.mark.parametrize(("architecture", "axes"), [e for e in EVERY if e[0] != "encoder"])
def test_decoders_are_causal(architecture, axes):
    config = make(architecture, axes)
    params, batch = params_of(config), random_batch(config)
    changed = {**batch, "decoder_inputs": batch["decoder_inputs"].copy()}
    changed["decoder_inputs"][:, 3] = (changed["decoder_inputs"][:, 3] + 1) % 37
    a, b = (logits(params, x, config) for x in (batch, changed))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert jnp.abs(a[:, 3:] - b[:, 3:]).min(axis=(0, 2)).max() > 0


@pytest.mark.parametrize(("architecture", "axes"), EVERY)
def test_padding_and_packing_change_nothing(architecture, axes):
    config = make(architecture, axes)
    params, batch = params_of(config), random_batch(config)
    padded = {k: np.pad(v, ((0, 0), (0, v.shape[1])), constant_values=5 if k.endswith("inputs") else 0)
              for k, v in batch.items()}  # fmt: skip
    packed = {}  # each row beside the other, in both orders: as long as what is padded
    for name, value in batch.items():
        documents = value + np.asarray([[0], [1]]) if name.endswith("segments") else value
        other = value[::-1] + np.asarray([[0], [1]]) if name.endswith("segments") else value[::-1]
        packed[name] = np.stack([documents.reshape(-1), other.reshape(-1)])
    a, b, c = (logits(params, x, config) for x in (batch, padded, packed))
    np.testing.assert_allclose(b[:, : a.shape[1]], a, atol=2e-5)
    np.testing.assert_allclose(c[0], a.reshape(-1, 37), atol=2e-5)
    np.testing.assert_allclose(c[1], a[::-1].reshape(-1, 37), atol=2e-5)


@pytest.mark.parametrize(("architecture", "axes"), [e for e in EVERY if e[0] != "encoder"])
def test_cached_equals_uncached(architecture, axes):
    config = make(architecture, axes)
    params, batch = params_of(config), random_batch(config)
    expected = logits(params, batch, config)
    if architecture != "decoder":  # nearly every axis is in both: one of them is scanned
        config = dataclasses.replace(config, stacking="scanned")
        params = to_scanned(params)
    model = build(config)

    @jax.jit
    def decode(tokens, cache, **first):
        return model.apply({"params": params}, tokens, cache=cache, method="decode", **first)

    tokens, first, found = batch["decoder_inputs"], {}, []
    if architecture == "encoder-decoder":
        segments = batch["encoder_segments"]
        first = {
            "encoded": model.apply({"params": params}, batch["encoder_inputs"], segments, method="encode"),
            "encoder_segments": segments,
        }
    cache = init_cache(config, 2, 8)
    for start, stop in ((0, 2), (2, 3), (3, 4), (4, 6)):  # a prefill, two steps, and several tokens at once
        out, cache = decode(tokens[:, start:stop], cache, **first)
        found.append(out)
        first = {}
    np.testing.assert_allclose(jnp.concatenate(found, axis=1), expected, atol=2e-5)
    swapped = reorder(cache, jnp.asarray([1, 0]))
    a, _ = decode(tokens[:, :1], cache)
    b, _ = decode(tokens[::-1, :1], swapped)
    np.testing.assert_allclose(a[::-1], b, atol=1e-5)
    c, _ = decode(np.repeat(tokens[:, :1], 2, axis=0), repeat(cache, 2))
    np.testing.assert_allclose(c, np.repeat(a, 2, axis=0), atol=1e-5)
    beams = decode(tokens[[0, 0, 1, 1], :1] + np.asarray([[0], [1], [0], [1]], np.int32), repeat(cache, 2))[1]
    index = jnp.asarray([1, 0, 3, 3])
    jax.tree.map(np.testing.assert_array_equal, reorder_beams(beams, index), reorder(beams, index))


@pytest.mark.parametrize("axes", [x for x in AXES if ONLY.get(x) != "encoder"])
def test_left_padded_prompts_change_nothing(axes):
    config = make("decoder", axes)
    params, model = params_of(config), build(config)
    tokens = random_batch(config)["decoder_inputs"]
    padded = np.pad(tokens, ((0, 0), (3, 0)))
    segments = np.pad(np.ones_like(tokens), ((0, 0), (3, 0)))
    a, _ = model.apply({"params": params}, tokens, cache=init_cache(config, 2, 12), method="decode")
    b, _ = model.apply({"params": params}, padded, segments=segments, cache=init_cache(config, 2, 12), method="decode")
    np.testing.assert_allclose(b[:, 3:], a, atol=2e-5)


def test_rotary_positions_are_relative():
    config = make("decoder", "llama")
    params, batch = params_of(config), random_batch(config)
    moved = {**batch, "decoder_positions": batch["decoder_positions"] + 11}
    stretched = {**batch, "decoder_positions": batch["decoder_positions"] * 2}
    a, b, c = (build(config).apply({"params": params}, x) for x in (batch, moved, stretched))
    np.testing.assert_allclose(b, a, atol=5e-5)
    assert jnp.abs(c - a).max() > 0.1


def test_a_cached_prefix_equals_an_uncached_one():
    config = make("decoder", "llama")
    params, batch, model = params_of(config), random_batch(config), build(config)
    batch["decoder_prefix"] = np.tile(np.asarray([1, 1, 1, 0, 0, 0], np.int32), (2, 1))
    expected = model.apply({"params": params}, batch)
    causal = model.apply({"params": params}, {k: v for k, v in batch.items() if k != "decoder_prefix"})
    assert jnp.abs(expected - causal)[:, 0].min() > 0
    tokens, prefix = batch["decoder_inputs"], batch["decoder_prefix"]
    a, cache = model.apply(
        {"params": params}, tokens[:, :4], prefix=prefix[:, :4], cache=init_cache(config, 2, 8), method="decode"
    )
    b, _ = model.apply({"params": params}, tokens[:, 4:], cache=cache, method="decode")
    np.testing.assert_allclose(jnp.concatenate([a, b], axis=1), expected, atol=2e-5)


@pytest.mark.parametrize("architecture", LAYERS)
def test_bfloat16_computes_and_float32_stays(architecture):
    config = make(architecture, "t5", dtype="bfloat16")
    batch = random_batch(config)
    params = nn.meta.unbox(build(config).init(jax.random.key(0), batch))["params"]
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    logits = build(config).apply({"params": params}, batch)
    assert logits.dtype == jnp.float32
    exact = build(dataclasses.replace(config, dtype="float32")).apply({"params": params}, batch)
    assert 0 < jnp.abs(logits - exact).mean() < 0.1 * jnp.abs(exact).mean()


@pytest.mark.parametrize(("architecture", "axes"), EVERY)
@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_every_parameter_has_logical_names(architecture, axes, stacking):
    boxed = abstract_params(make(architecture, axes, stacking=stacking))
    leaves = jax.tree.leaves(boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))
    for leaf in leaves:
        assert isinstance(leaf, nn.Partitioned)
        assert len(leaf.names) == len(leaf.value.shape)
        assert set(leaf.names) <= {"embed", "mlp", "heads", "kv", "vocab", "layers", None}
    if stacking == "scanned":
        assert any("layers" in leaf.names for leaf in leaves)


def test_dropout_happens_exactly_when_a_key_is_given():
    config = make("encoder-decoder", "t5", dropout=0.2, attention_dropout=0.2, mlp_dropout=0.2)
    params, batch = params_of(config), random_batch(config)
    model = build(config)
    plain = model.apply({"params": params}, batch)
    np.testing.assert_array_equal(plain, model.apply({"params": params}, batch))
    a, b, c = (model.apply({"params": params}, batch, rngs={"dropout": jax.random.key(i)}) for i in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert jnp.abs(a - plain).max() > 0
    assert jnp.abs(a - c).max() > 0


def test_impossible_models_are_refused():
    with pytest.raises(ConfigError, match="'decoder' has no encoder_layers, found 2"):
        ModelConfig(architecture="decoder", **BASE, encoder_layers=2, decoder_layers=2)
    with pytest.raises(ConfigError, match="needs decoder_layers of at least 1"):
        ModelConfig(architecture="encoder-decoder", **BASE, encoder_layers=2)
    with pytest.raises(ConfigError, match="embedding_width 8 with tied logits needs a logits_transform from width 16"):
        make("decoder", "gpt", embedding_width=8)
    with pytest.raises(ConfigError, match="token_types are of architecture 'encoder', found 'decoder'"):
        make("decoder", "gpt", token_types=2)
    with pytest.raises(ConfigError, match="position_offset: expected .* found 2 with positions 'rotary'"):
        make("decoder", "llama", position_offset=2)
    with pytest.raises(ConfigError, match="vocab_size"):
        build(dataclasses.replace(make("decoder", "gpt"), vocab_size=0))


def test_sequences_beyond_absolute_positions_are_refused():
    config = make("decoder", "gpt")
    with pytest.raises(ValueError, match="max_length 24, found a sequence of 25"):
        build(config).apply({"params": params_of(config)}, random_batch(config, m=25))


def test_param_count_allocates_nothing_and_is_the_sum():
    config = make("encoder", "gpt")
    assert param_count(config) == sum(x.size for x in jax.tree.leaves(params_of(config)))
