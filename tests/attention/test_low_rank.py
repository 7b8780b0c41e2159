"""Linformer equals the paper's equation 7 in float64, document by document, and its gradient that of differences."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from t2t.attention import Conditions, Linformer, Performer, Sizes, causal, local
from t2t.layers import to_scanned
from t2t.models import ModelConfig, abstract_params, build, init_cache

H, K = 2, 4
PACKED = np.asarray([[1] * 5 + [2] * 4 + [0] * 2, [0] * 3 + [1] + [2] * 3 + [3] * 4])  # also padded on the left
LEARNED = [Linformer(rank=4, length=12, documents=3, sharing=s) for s in ("none", "head", "key_value", "layer")]
POOLED = [Linformer(rank=4, length=12, documents=3, projection=p) for p in ("mean", "convolution")]
POOLED.append(dataclasses.replace(POOLED[1], sharing="head"))
EVERY = LEARNED + POOLED


def name_of(mechanism):
    return f"{mechanism.projection}-{mechanism.sharing}"


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def parameters_of(mechanism):
    wanted = mechanism.parameters(Sizes(width=8, heads=H, head_width=K))
    return {name: draw(*p.shape, seed=i) for i, (name, p) in enumerate(wanted.items())}


def inputs(n=11, m=11, b=2):
    return draw(b, n, H, K), draw(b, m, H, K, seed=1), draw(b, m, H, K, seed=2)


def slots(mechanism, matrix, x):
    """E x in float64 for the positions of one document and head, x [m k], matrix that of the head."""
    if mechanism.projection == "learned":
        return matrix[:, : len(x)] @ x
    windows = [x[i : i + mechanism.window] for i in range(0, len(x), mechanism.window)]
    if mechanism.projection == "mean":
        return np.stack([w.mean(0) for w in windows])
    return np.stack([(matrix[: len(w)] * w).sum(0) for w in windows])


def reference(mechanism, q, k, v, parameters, query_segments, key_segments):
    """Equation 7, for each row, document and head by itself."""
    out = np.zeros(q.shape)
    e, f = parameters.get("E"), parameters.get("F", parameters.get("E"))
    for b in range(len(q)):
        for segment in set(query_segments[b]) - {0}:
            queries, keys = query_segments[b] == segment, key_segments[b] == segment
            for h in range(H):
                of_head = [m[h] if m is not None and m.ndim == 3 else m for m in (e, f)]
                if keys.any():
                    logits = q[b, queries, h] @ slots(mechanism, of_head[0], k[b, keys, h]).T / np.sqrt(K)
                    weights = np.exp(logits - logits.max(-1, keepdims=True))
                    values = slots(mechanism, of_head[1], v[b, keys, h])
                    out[b, queries, h] = weights @ values / weights.sum(-1, keepdims=True)
    return out


def apply(mechanism, q, k, v, parameters, query_segments=None, key_segments=None, **conditions):
    if key_segments is None:
        key_segments = query_segments
    conditions = Conditions(query_segments=query_segments, key_segments=key_segments, **conditions)
    return mechanism.apply(q, k, v, conditions, parameters=parameters)[0]


jitted = jax.jit(apply, static_argnums=0)


def as_float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


@pytest.mark.parametrize("mechanism", EVERY, ids=name_of)
def test_equals_equation_7_and_so_does_its_gradient(mechanism):
    arguments = (*inputs(), parameters_of(mechanism))
    probe = draw(2, 11, H, K, seed=9)

    def total(q, k, v, parameters):
        out = apply(mechanism, q, k, v, parameters, jnp.asarray(PACKED))
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))(*as_float32(arguments))
    np.testing.assert_allclose(out, reference(mechanism, *arguments, PACKED, PACKED), atol=5e-6)
    assert (out[PACKED == 0] == 0).all()
    leaves, tree = jax.tree.flatten(arguments)
    for i, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = tree.unflatten([x + step * direction if j == i else x for j, x in enumerate(leaves)])
            return (probe * reference(mechanism, *moved, PACKED, PACKED)).sum()

        measured = (at(1e-5) - at(-1e-5)) / 2e-5
        np.testing.assert_allclose((gradient * direction).sum(), measured, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mechanism", [LEARNED[0], *POOLED[:2]], ids=name_of)
def test_cross_attention_to_a_row_of_another_length_without_segments(mechanism):
    q, k, v = inputs(n=5, m=7)
    parameters = parameters_of(mechanism)
    expected = reference(mechanism, q, k, v, parameters, np.ones((2, 5), int), np.ones((2, 7), int))
    np.testing.assert_allclose(apply(mechanism, *as_float32((q, k, v, parameters))), expected, atol=5e-6)


@pytest.mark.parametrize("mechanism", [LEARNED[1], *POOLED[:2]], ids=name_of)
def test_packed_documents_equal_separate_ones_and_nothing_outside_matters(mechanism):
    q, k, v, parameters = as_float32((*inputs(), parameters_of(mechanism)))
    packed = jitted(mechanism, q, k, v, parameters, jnp.asarray(PACKED))
    for segment in (1, 2, 3):
        inside = PACKED[1] == segment
        alone = [x[1:, inside] for x in (q, k, v)]
        np.testing.assert_allclose(packed[1:, inside], jitted(mechanism, *alone, parameters), atol=1e-6)
        here = np.equal(PACKED, segment)
        huge = [jnp.where(jnp.asarray(here)[..., None, None], x, 1e6) for x in (k, v)]
        again = jitted(mechanism, q, *huge, parameters, jnp.asarray(PACKED))
        np.testing.assert_array_equal(again[here], packed[here])


def test_a_document_with_nothing_to_see_gives_zero_and_no_gradient_of_nan():
    q, k, v, parameters = as_float32((*inputs(n=4, m=5), parameters_of(LEARNED[0])))
    queries, keys = jnp.asarray([[1, 1, 2, 0], [3, 3, 3, 3]]), jnp.asarray([[1, 1, 1, 0, 0], [0] * 5])

    def total(*arguments):
        out = apply(LEARNED[0], *arguments, queries, keys)
        return (out**2).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))(q, k, v, parameters)
    assert (out[1] == 0).all()
    assert (out[0, 2:] == 0).all()
    assert (out[0, :2] != 0).all()
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_a_segment_beyond_the_documents_is_not_a_number():
    mechanism = dataclasses.replace(LEARNED[1], documents=2)
    out = jitted(mechanism, *as_float32((*inputs(), parameters_of(mechanism))), jnp.asarray(PACKED))
    np.testing.assert_array_equal(jnp.isnan(out).any((2, 3)), PACKED > 2)


@pytest.mark.parametrize("segments", [None, PACKED])
def test_many_queries_go_in_tiles(monkeypatch, segments):
    arguments = as_float32((*inputs(), parameters_of(LEARNED[1])))

    def total(*arguments):
        return jnp.sin(apply(LEARNED[1], *arguments, segments)).sum()

    def both(*arguments):
        return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3)))(*arguments)

    segments = None if segments is None else jnp.asarray(segments)
    whole = both(*arguments)
    module = importlib.import_module("t2t.attention.attend")
    for name in ("FEW_PAIRS", "MANY_LOGITS", "MANY_ON_CPU"):
        monkeypatch.setattr(module, name, 0)
    assert "while" in jax.jit(total).lower(*arguments).as_text()
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), both(*arguments), whole)


def test_dropout_differs_between_queries_unless_it_is_shared_by_them():
    mechanism = Linformer(rank=8, length=8, projection="mean")
    q, k, _ = as_float32(inputs(n=8, m=8))
    q = jnp.tile(q[:, :1], (1, 8, 1, 1))
    dropped = {"dropout_rate": 0.5, "dropout_key": jax.random.key(0)}
    own = apply(mechanism, q, k, k, {}, **dropped)
    shared = apply(mechanism, q, k, k, {}, **dropped, dropout_over_queries=True)
    assert not np.allclose(own[:, :4], own[:, 4:])
    np.testing.assert_allclose(shared, jnp.tile(shared[:, :1], (1, 8, 1, 1)), atol=1e-6)


@pytest.mark.parametrize("mechanism", POOLED[:2], ids=name_of)
def test_windows_cover_rows_of_any_length(mechanism):
    q, k, v = inputs(n=3, m=20)
    parameters = parameters_of(mechanism)
    expected = reference(mechanism, q, k, v, parameters, np.ones((2, 3), int), np.ones((2, 20), int))
    np.testing.assert_allclose(apply(mechanism, *as_float32((q, k, v, parameters))), expected, atol=5e-6)


def test_convolution_begins_as_the_mean():
    start = POOLED[1].parameters(Sizes(width=8, heads=H, head_width=K))["E"]
    assert (start.std, start.mean * POOLED[1].window) == (0.0, 1.0)


@pytest.mark.parametrize("mechanism", [LEARNED[0], POOLED[0]], ids=name_of)
def test_bfloat16(mechanism):
    arguments = (*inputs(), parameters_of(mechanism))
    rounded = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arguments)
    out = jitted(mechanism, *rounded, jnp.asarray(PACKED))
    assert out.dtype == jnp.bfloat16
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), rounded)
    np.testing.assert_allclose(
        out.astype(jnp.float32), reference(mechanism, *exact, PACKED, PACKED), atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rank": 0, "length": 4}, "rank: expected at least 1"),
        ({"rank": 4, "length": 4, "documents": 0}, "documents: expected at least 1"),
        ({"rank": 8, "length": 4}, "at most length 4, found 8.*use Dense"),
        ({"rank": 5, "length": 12, "projection": "mean"}, "choose a rank that divides length"),
    ],
)
def test_refuses_impossible_sizes(fields, message):
    with pytest.raises(ValueError, match=message):
        Linformer(**fields)


def test_refuses_what_it_cannot_do_naming_what_can():
    mechanism, (q, k, v) = LEARNED[1], as_float32(inputs())
    parameters = as_float32(parameters_of(mechanism))
    mechanism.check(causal=False, cross=False, positions="rotary")
    mechanism.check(causal=False, cross=True, positions="relative_bias")
    with pytest.raises(ValueError, match="see the future.*Dense.*Performer"):
        mechanism.check(causal=True, cross=False, positions="learned")
    with pytest.raises(ValueError, match="does not survive.*'rotary', 'learned'"):
        mechanism.check(causal=False, cross=False, positions="relative_bias")
    with pytest.raises(ValueError, match="no incremental decoding.*Dense"):
        mechanism.init_state(1, 8, Sizes(8, H, K), jnp.float32)
    for pattern in (causal(), local(3)):
        with pytest.raises(ValueError, match="mixes all positions, found pattern .*Dense.*Performer"):
            apply(mechanism, q, k, v, parameters, pattern=pattern)
    with pytest.raises(ValueError, match="bias between pairs"):
        apply(mechanism, q, k, v, parameters, bias=jnp.zeros((1, H, 11, 11)))
    with pytest.raises(ValueError, match="cover 12 positions, found a row of 13.*'mean' or 'convolution'"):
        apply(mechanism, *as_float32(inputs(n=13, m=13)), parameters)


def model(sharing="none"):
    return ModelConfig(
        architecture="encoder",
        vocab_size=19,
        width=8,
        heads=H,
        mlp_width=12,
        encoder_layers=2,
        positions="learned",
        max_length=16,
        attention=Linformer(rank=4, length=12, sharing=sharing, documents=2),
    )


def test_an_encoder_takes_a_step_and_scans():
    config = model("layer")
    batch = {
        "encoder_inputs": jnp.asarray(np.random.default_rng(0).integers(1, 19, (2, 11))),
        "encoder_segments": jnp.asarray(np.minimum(PACKED, 2)),
    }
    params = nn.meta.unbox(jax.jit(build(config).init)(jax.random.key(0), batch)["params"])

    def loss(params, config=config):
        logits = build(config).apply({"params": params}, batch)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["encoder_inputs"]).mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(params)
    assert all(jnp.isfinite(g).all() and (g != 0).any() for g in jax.tree.leaves(gradients))
    after = jax.jit(loss)(jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients))
    assert after < value
    scanned = jax.jit(lambda p: loss(p, dataclasses.replace(config, stacking="scanned")))(to_scanned(params))
    np.testing.assert_allclose(scanned, value, rtol=1e-6)


def test_an_encoder_decoder_looks_across_with_and_without_a_cache():
    config = dataclasses.replace(
        model("key_value"),
        architecture="encoder-decoder",
        encoder_layers=1,
        decoder_layers=2,
        decoder_attention=Performer(features=8),
        cross_attention=Linformer(rank=4, length=12, sharing="layer", documents=1),
    )
    generator = np.random.default_rng(0)
    inputs, targets = (jnp.asarray(generator.integers(1, 19, (2, n))) for n in (9, 4))
    segments = jnp.asarray([[1] * 9, [1] * 6 + [0] * 3])
    batch = {"encoder_inputs": inputs, "encoder_segments": segments, "decoder_inputs": targets}
    params = nn.meta.unbox(jax.jit(build(config).init)(jax.random.key(0), batch)["params"])
    assert params["decoder"]["shared_cross_attention"]["E"].shape == (4, 12)

    @jax.jit
    def run(params, batch):
        def call(*arguments, method, **named):
            return build(config).apply({"params": params}, *arguments, method=method, **named)

        encoded, cache = call(inputs, segments, method="encode"), init_cache(config, 2, 4)
        first, cache = call(targets[:, :3], encoded, encoder_segments=segments, cache=cache, method="decode")
        last, _ = call(targets[:, 3:], cache=cache, method="decode")
        return build(config).apply({"params": params}, batch), jnp.concatenate([first, last], axis=1)

    whole, cached = run(params, batch)
    np.testing.assert_allclose(cached, whole, atol=2e-5)
    other, _ = run(params, {**batch, "encoder_inputs": inputs.at[1, 6:].set(1)})
    np.testing.assert_allclose(other, whole, atol=1e-6)


@pytest.mark.parametrize(("sharing", "found"), [("layer", 1), ("key_value", 2), ("head", 4), ("none", 4)])
def test_how_many_matrices_a_stack_has(sharing, found):
    """Of two layers: Wang et al. 2020, section 4, "additional efficiency techniques"."""
    paths = jax.tree_util.tree_flatten_with_path(nn.meta.unbox(abstract_params(model(sharing))))[0]
    matrices = [leaf.shape for path, leaf in paths if path[-1].key in ("E", "F")]
    assert matrices == [(H, 4, 12) if sharing == "none" else (4, 12)] * found
