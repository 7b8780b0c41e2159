"""Performer equals the estimator of Choromanski et al. 2021 in float64, which tends to softmax attention."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from t2t.attention import Conditions, Performer, Sizes, bidirectional, causal, local, random_features
from t2t.attention.random_features import random_matrix
from t2t.layers import to_scanned
from t2t.models import ModelConfig, build, init_cache

H, K = 2, 4
PACKED = np.asarray([[1] * 5 + [2] * 4 + [0] * 2, [0] * 3 + [1] + [2] * 3 + [3] * 4])  # also padded on the left
PERFORMER = Performer(features=9, seed=3, documents=3)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that rows of 11 have several."""
    monkeypatch.setattr(random_features, "CHUNK", 4)
    monkeypatch.setattr(random_features, "BLOCK", 4)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def inputs(n=11, m=11, b=2):
    return draw(b, n, H, K), draw(b, m, H, K, seed=1), draw(b, m, H, K, seed=2)


def allowed_pairs(pattern, query_segments, key_segments):
    same = query_segments[:, :, None] == key_segments[:, None, :]
    return (same & (key_segments > 0)[:, None] & pattern.mask(query_segments.shape[1], key_segments.shape[1]))[:, None]


def normalised(weights, v):
    total = weights.sum(-1, keepdims=True)
    return np.einsum("bhnm,bmhk->bnhk", np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), v)


def reference(q, k, v, allowed, features=9, seed=3):
    """Lemma 1 and equation 5: softmax kernel features, all pairs, no scaling against overflow."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    matrix = random_matrix(features, K, seed).astype(np.float64)
    of_query, of_key = (
        np.exp(np.einsum("bnhk,fk->bnhf", x, matrix) - (x**2).sum(-1, keepdims=True) / 2) / np.sqrt(features)
        for x in (q * K**-0.25, k * K**-0.25)
    )
    return normalised(np.where(allowed, np.einsum("bnhf,bmhf->bhnm", of_query, of_key), 0.0), v)


def softmax(q, k, v, allowed):
    return normalised(np.where(allowed, np.exp(np.einsum("bnhk,bmhk->bhnm", q, k) / np.sqrt(K)), 0.0), v)


def apply(mechanism, pattern, q, k, v, query_segments=None, key_segments=None, state=None, **conditions):
    key_segments = query_segments if key_segments is None else key_segments
    conditions = Conditions(pattern=pattern, query_segments=query_segments, key_segments=key_segments, **conditions)
    out, state = mechanism.apply(q, k, v, conditions, state=state)
    return out if state is None else (out, state)


jitted = jax.jit(apply, static_argnums=(0, 1))


def as_float32(arrays):
    return [jnp.asarray(x, jnp.float32) for x in arrays]


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_equals_the_estimator_and_so_does_its_gradient(pattern):
    arguments, probe, allowed = inputs(), draw(2, 11, H, K, seed=9), allowed_pairs(pattern, PACKED, PACKED)

    def total(*arguments):
        out = apply(PERFORMER, pattern, *arguments, jnp.asarray(PACKED))
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(*as_float32(arguments))
    np.testing.assert_allclose(out, reference(*arguments, allowed), atol=5e-6)
    assert (out[PACKED == 0] == 0).all()
    for i, gradient in enumerate(gradients):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = [x + step * direction if j == i else x for j, x in enumerate(arguments)]
            return (probe * reference(*moved, allowed)).sum()

        np.testing.assert_allclose((gradient * direction).sum(), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-4, atol=1e-4)


def test_cross_attention():
    q, k, v = inputs(n=5, m=9)
    queries, keys = np.asarray([[1, 1, 2, 2, 0], [3, 3, 3, 3, 3]]), np.asarray([[1] * 4 + [2] * 5, [1] * 9])
    out = jitted(PERFORMER, bidirectional(), *as_float32((q, k, v)), jnp.asarray(queries), jnp.asarray(keys))
    np.testing.assert_allclose(out, reference(q, k, v, allowed_pairs(bidirectional(), queries, keys)), atol=5e-6)
    assert (out[1] == 0).all()


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_tends_to_softmax_attention(pattern):
    q, k, v = (0.7 * x for x in inputs())
    exact, errors = softmax(q, k, v, np.broadcast_to(pattern.mask(11), (2, 1, 11, 11))), []
    for features in (64, 4096):
        found = [
            jitted(Performer(features=features, seed=s), pattern, *as_float32((q, k, v))) - exact for s in (0, 1, 2)
        ]
        errors.append(np.sqrt(np.square(found).mean()))
    assert errors[1] < errors[0] / 4  # an eighth, if the error falls with the square root
    assert errors[1] < 0.02


def test_features_are_orthogonal_rows_as_long_as_normal_ones():
    matrix = random_matrix(10, K, 0).astype(np.float64)
    products = matrix[:K] @ matrix[:K].T
    np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-6)
    many = random_matrix(8000, K, 1)
    np.testing.assert_allclose(many.T @ many / len(many), np.eye(K), atol=0.05)
    np.testing.assert_array_equal(random_matrix(10, K, 0), matrix.astype(np.float32))
    np.testing.assert_allclose(matrix[0], [1.24854, 1.32180, -0.07306, 0.53864], atol=1e-4)  # for ever the same
    assert not np.allclose(random_matrix(10, K, 1), matrix)


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_packed_documents_equal_separate_ones_and_nothing_outside_matters(pattern):
    q, k, v = as_float32(inputs())
    packed = jitted(PERFORMER, pattern, q, k, v, jnp.asarray(PACKED))
    for segment in (1, 2, 3):
        here = np.equal(PACKED, segment)
        alone = [x[1:, here[1]] for x in (q, k, v)]
        np.testing.assert_allclose(packed[1:, here[1]], jitted(PERFORMER, pattern, *alone), atol=2e-6)
        huge = [jnp.where(jnp.asarray(here)[..., None, None], x, 1e6) for x in (k, v)]
        again = jitted(PERFORMER, pattern, q, *huge, jnp.asarray(PACKED))
        np.testing.assert_array_equal(again[here], packed[here])


def test_the_future_has_no_influence():
    q, k, v = as_float32(inputs())
    whole = jitted(PERFORMER, causal(), q, k, v)
    for i in (2, 3, 7):  # inside a chunk, at its end, and chunks before
        later = [x.at[:, i + 1 :].set(sign * 1e4) for x, sign in ((k, 1), (v, -1))]
        np.testing.assert_array_equal(jitted(PERFORMER, causal(), q, *later)[:, : i + 1], whole[:, : i + 1])


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_terms_that_differ_by_hundreds_neither_underflow_nor_overflow(pattern):
    """Keys of a document so long that exp(−|k|²/2) is 0 in float32, beside a document of short ones."""
    q, k, v = inputs()
    k = np.where(PACKED[..., None, None] == 2, 30.0 * np.sign(k[:, :1]) + k, 0.1 * k)
    allowed = allowed_pairs(pattern, PACKED, PACKED)
    out = jitted(PERFORMER, pattern, *as_float32((q, k, v)), jnp.asarray(PACKED))
    scaled = K**-0.25 * np.asarray(k, np.float64)
    exponents = np.einsum("bnhk,fk->bnhf", scaled, random_matrix(9, K, 3)) - (scaled**2).sum(-1, keepdims=True) / 2
    assert exponents[PACKED == 2].max() < -200
    # The same in float64, which holds them once the greatest term of the document is taken out.
    exponents = exponents - np.where(PACKED == 2, exponents[PACKED == 2].max(), 0.0)[..., None, None]
    of_query = np.exp(np.einsum("bnhk,fk->bnhf", K**-0.25 * q, random_matrix(9, K, 3)))
    weights = np.where(allowed, np.einsum("bnhf,bmhf->bhnm", of_query, np.exp(exponents)), 0.0)
    np.testing.assert_allclose(out, normalised(weights, v), atol=5e-4)


def test_rows_that_see_nothing_give_zero_and_no_gradient_of_nan():
    segments = jnp.asarray([[1, 1] + [0] * 9, [0] * 11])
    for pattern in (causal(), bidirectional()):

        def total(*arguments, pattern=pattern):
            out = apply(PERFORMER, pattern, *arguments, segments)
            return (out**2).sum(), out

        gradients, out = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(*as_float32(inputs()))
        assert (out[1] == 0).all()
        assert (out[0, :2] != 0).all()
        assert all(jnp.isfinite(g).all() for g in gradients)


def test_only_bidirectional_attention_has_a_limit_of_documents():
    mechanism = dataclasses.replace(PERFORMER, documents=2)
    out = jitted(mechanism, bidirectional(), *as_float32(inputs()), jnp.asarray(PACKED))
    np.testing.assert_array_equal(jnp.isnan(out).any((2, 3)), PACKED > 2)
    assert jnp.isfinite(jitted(mechanism, causal(), *as_float32(inputs()), jnp.asarray(PACKED))).all()


def test_cached_equals_uncached():
    """A prompt padded on the left, then one position at a time; the second row begins another document on the way."""
    q, k, v = as_float32(inputs())
    segments = jnp.asarray([[0, 0] + [1] * 9, [1] * 7 + [2] * 4])
    whole = jitted(PERFORMER, causal(), q, k, v, segments)
    state = PERFORMER.init_state(2, 11, Sizes(8, H, K), jnp.float32)
    shapes = jax.tree.map(jnp.shape, state)
    parts, start = [], 0
    for end in (6, 7, 8, 9, 10, 11):
        here = slice(start, end)
        out, state = jitted(
            PERFORMER, causal(), q[:, here], k[:, here], v[:, here], segments[:, here], segments[:, here], state
        )
        parts.append(out)
        start = end
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=2e-6)
    assert jax.tree.map(jnp.shape, state) == shapes


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_bfloat16(pattern):
    rounded = [jnp.asarray(x, jnp.bfloat16) for x in inputs()]
    out = jitted(PERFORMER, pattern, *rounded, jnp.asarray(PACKED))
    assert out.dtype == jnp.bfloat16
    expected = reference(*(x.astype(jnp.float32) for x in rounded), allowed_pairs(pattern, PACKED, PACKED))
    np.testing.assert_allclose(out.astype(jnp.float32), expected, atol=0.05, rtol=0.05)


def test_refuses_what_it_cannot_do_naming_what_can():
    qkv = as_float32(inputs())
    PERFORMER.check(causal=True, cross=False, positions="rotary")
    PERFORMER.check(causal=False, cross=True, positions="relative_bias")
    with pytest.raises(ValueError, match="features: expected at least 1"):
        Performer(features=0)
    with pytest.raises(ValueError, match="'relative_bias'.*'rotary', 'learned'.*Dense"):
        PERFORMER.check(causal=True, cross=False, positions="relative_bias")
    with pytest.raises(ValueError, match=r"found pattern .*local\(3\).*Dense"):
        apply(PERFORMER, causal() & local(3), *qkv)
    with pytest.raises(ValueError, match="a bias on the logits.*Dense"):
        apply(PERFORMER, causal(), *qkv, bias=jnp.zeros((1, H, 11, 11)))
    with pytest.raises(ValueError, match="a prefix.*Dense"):
        apply(PERFORMER, causal(), *qkv, prefix=jnp.ones((2, 11)))
    with pytest.raises(ValueError, match="found a dropout rate of 0.1. Set attention_dropout to 0"):
        apply(PERFORMER, causal(), *qkv, dropout_rate=0.1)


def test_a_decoder_takes_a_step_scans_and_decodes():
    config = ModelConfig(
        architecture="decoder",
        vocab_size=19,
        width=8,
        heads=H,
        mlp_width=12,
        decoder_layers=2,
        positions="learned",
        max_length=16,
        attention=PERFORMER,
    )
    batch = {
        "decoder_inputs": jnp.asarray(np.random.default_rng(0).integers(1, 19, (2, 11))),
        "decoder_segments": jnp.asarray(PACKED),
    }
    params = nn.meta.unbox(jax.jit(build(config).init)(jax.random.key(0), batch)["params"])

    def loss(params, config=config):
        logits = build(config).apply({"params": params}, batch)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["decoder_inputs"]).mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(params)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradients))
    assert jax.jit(loss)(jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)) < value
    scanned = jax.jit(lambda p: loss(p, dataclasses.replace(config, stacking="scanned")))(to_scanned(params))
    np.testing.assert_allclose(scanned, value, rtol=1e-6)

    tokens = batch["decoder_inputs"]
    whole = build(config).apply({"params": params}, {"decoder_inputs": tokens})
    decode = jax.jit(lambda params, *a: build(config).apply({"params": params}, a[0], cache=a[1], method="decode"))
    prompt, cache = decode(params, tokens[:, :10], init_cache(config, 2, 11))
    last, _ = decode(params, tokens[:, 10:], cache)
    np.testing.assert_allclose(jnp.concatenate([prompt, last], axis=1), whole, atol=2e-5)
