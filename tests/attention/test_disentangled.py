"""Disentangled attention equals its formula in float64, document by document, and its gradient that of differences.
That it equals Hugging Face's DeBERTa is in tests/parity."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import Conditions, Disentangled, Sizes, Source, causal, disentangled, local
from t2t.attention.buckets import log_bucket

B, H, K, D = 2, 2, 4, 6
PACKED = np.asarray([[1] * 9 + [2] * 5 + [3] * 2 + [0] * 3, [0] * 2 + [1] * 3 + [2] * 7 + [3] * 7])
N = PACKED.shape[1]
PLAIN = Disentangled(span=5)
EVERY = {
    "a row each": Disentangled(span=40),
    "beyond the span": PLAIN,
    "content to position": dataclasses.replace(PLAIN, position_to_content=False, position_key_bias=True),
    "position to content": dataclasses.replace(PLAIN, content_to_position=False),
    "buckets": Disentangled(span=12, buckets=4, position_key_bias=True, table_norm=True, norm_epsilon=1e-2),
    "shared": Disentangled(span=9, buckets=6, shared_projections=True, table_norm=True),
    "talking heads": Disentangled(span=7, talking_heads=True),
    "means for padding": Disentangled(span=7, talking_heads=True, blind="mean"),
}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arguments(mechanism, n=N):
    """Everything that is differentiated."""
    wanted = mechanism.parameters(Sizes(width=D, heads=H, head_width=K))
    return {
        "inputs": draw(B, n, D),
        "query": draw(D, H, K, seed=1),
        "key": draw(D, H, K, seed=2),
        "value": draw(D, H, K, seed=3),
        "bias": draw(1, H, n, n, seed=4),
        "parameters": {name: draw(*p.shape, seed=5 + i) for i, (name, p) in enumerate(wanted.items())},
    }


def apply(mechanism, given, segments=None, **conditions):
    def project(x):
        return jnp.einsum("bnd,dhk->bnhk", x, given["key"]), jnp.einsum("bnd,dhk->bnhk", x, given["value"])

    def project_query(x):
        return jnp.einsum("bnd,dhk->bnhk", x, given["query"])

    conditions = {"bias": given["bias"], **conditions}
    return mechanism.apply(
        project_query(given["inputs"]),
        *project(given["inputs"]),
        Conditions(query_segments=segments, key_segments=segments, **conditions),
        parameters=given["parameters"],
        source=Source(given["inputs"], project, project_query),
    )[0]


jitted = jax.jit(apply, static_argnums=0)


def row_of(mechanism, distance):
    """The row of the table for a distance, by the words of the published code."""
    half, sign = mechanism.buckets // 2, int(np.sign(distance))
    bucket = distance
    if mechanism.buckets and abs(distance) > half:
        ratio = math.log(abs(distance) / half) / math.log((mechanism.span - 1) / half)
        bucket = sign * (math.ceil(round(ratio * (half - 1), 9)) + half)
    return min(max(bucket + mechanism.rows // 2, 0), mechanism.rows - 1)


def reference(mechanism, given, segments):
    """He et al. 2021, equation 4, for each row, document and head by itself."""
    p, table = given["parameters"], given["parameters"]["table"]
    if mechanism.table_norm:
        table = table - table.mean(-1, keepdims=True)
        table = table / np.sqrt((table**2).mean(-1, keepdims=True) + mechanism.norm_epsilon)
        table = table * p["table_scale"] + p["table_bias"]
    own = not mechanism.shared_projections
    out = np.zeros((*segments.shape, H, K))
    if mechanism.blind == "mean":
        mean = np.einsum("bnd,dhk->bhk", given["inputs"], given["value"]) / segments.shape[1]
        out += (mean * p["mix_weights"].sum(0)[:, None])[:, None]
    for b in range(len(segments)):
        for segment in set(segments[b]) - {0}:
            at = np.flatnonzero(segments[b] == segment)
            x = given["inputs"][b, at]
            distance = np.arange(len(at))[:, None] - np.arange(len(at))
            place = table[np.vectorize(lambda r: row_of(mechanism, int(r)))(distance)]  # [n n d]
            logits = []
            for h in range(H):
                query, key = x @ given["query"][:, h], x @ given["key"][:, h]
                found = query @ key.T
                if mechanism.content_to_position:
                    of_key = place @ (p["position_key"] if own else given["key"])[:, h]
                    of_key = of_key + (p["position_key_bias"][h] if mechanism.position_key_bias else 0)
                    found = found + np.einsum("ik,ijk->ij", query, of_key)
                if mechanism.position_to_content:
                    of_query = place @ (p["position_query"] if own else given["query"])[:, h]
                    of_query = of_query + (p["position_query_bias"][h] if own else 0)
                    found = found + np.einsum("jk,ijk->ij", key, of_query)
                logits.append(found / np.sqrt(K * mechanism.terms) + given["bias"][0, h][np.ix_(at, at)])
            logits = np.stack(logits)
            if mechanism.talking_heads:
                logits = np.einsum("hnm,hg->gnm", logits, p["mix_logits"])
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            if mechanism.talking_heads:
                weights = np.einsum("hnm,hg->gnm", weights, p["mix_weights"])
            for h in range(H):
                out[b, at, h] = weights[h] @ (x @ given["value"][:, h])
    return out


def as_float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


@pytest.mark.parametrize(("name", "tile"), [*((name, 128) for name in EVERY), ("a row each", 5), ("shared", 4)])
def test_equals_the_formula_and_so_does_its_gradient(name, tile, monkeypatch):
    monkeypatch.setattr(disentangled, "TILE", tile)
    mechanism, probe = EVERY[name], draw(B, N, H, K, seed=9)
    given = arguments(mechanism)

    def total(given):
        out = apply(mechanism, given, jnp.asarray(PACKED))
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    gradients, out = jax.jit(jax.grad(total, has_aux=True))(as_float32(given))
    np.testing.assert_allclose(out, reference(mechanism, given, PACKED), atol=2e-5)
    assert (out[PACKED == 0] == 0).all() == (mechanism.blind == "zeros")
    leaves, tree = jax.tree.flatten(given)
    for i, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = tree.unflatten([x + step * direction if j == i else x for j, x in enumerate(leaves)])
            return (probe * reference(mechanism, moved, PACKED)).sum()

        np.testing.assert_allclose((gradient * direction).sum(), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=5e-4, atol=5e-4)


@pytest.mark.parametrize("name", ["beyond the span", "buckets", "talking heads"])
@pytest.mark.parametrize("n", [1, 2, 5, 13])
def test_a_row_of_any_length_without_segments(name, n, monkeypatch):
    monkeypatch.setattr(disentangled, "TILE", 4)
    given = arguments(EVERY[name], n)
    expected = reference(EVERY[name], given, np.ones((B, n), int))
    np.testing.assert_allclose(apply(EVERY[name], as_float32(given)), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["shared", "talking heads"])
def test_nothing_outside_a_document_matters(name):
    given = as_float32(arguments(EVERY[name]))
    out = jitted(EVERY[name], given, jnp.asarray(PACKED))
    for segment in (1, 2, 3):
        here = np.equal(PACKED, segment)
        huge = {**given, "inputs": jnp.where(jnp.asarray(here)[..., None], given["inputs"], 1e6)}
        np.testing.assert_array_equal(jitted(EVERY[name], huge, jnp.asarray(PACKED))[here], out[here])


@pytest.mark.parametrize("name", ["shared", "talking heads"])
def test_bfloat16(name):
    rounded = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arguments(EVERY[name]))
    out = jitted(EVERY[name], rounded, jnp.asarray(PACKED))
    assert out.dtype == jnp.bfloat16
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), rounded)
    expected = reference(EVERY[name], exact, PACKED)
    np.testing.assert_allclose(out.astype(jnp.float32), expected, atol=0.05 * np.abs(expected).max())


def test_no_array_has_a_place_for_each_pair():
    mechanism, n = EVERY["shared"], 40
    given = as_float32(arguments(mechanism, n))
    shapes = jax.jit(apply, static_argnums=0).trace(mechanism, given).jaxpr.jaxpr.eqns
    sizes = [math.prod(v.aval.shape) for e in shapes for v in e.outvars]
    assert max(sizes) <= B * H * n * 2 * n


@pytest.mark.parametrize("name", ["shared", "talking heads"])
def test_dropout_is_of_weights_and_of_the_table(name):
    mechanism = EVERY[name]
    given = as_float32(arguments(mechanism))
    still = {**given, "value": given["value"] * 0 + 1, "inputs": jnp.abs(given["inputs"])}
    key = jax.random.key(0)
    dropped = apply(mechanism, still, dropout_rate=0.5, dropout_key=key)
    assert not np.allclose(dropped, apply(mechanism, still))
    np.testing.assert_array_equal(dropped, apply(mechanism, still, dropout_rate=0.5, dropout_key=key))

    def project(x):
        return [jnp.einsum("bnd,dhk->bnhk", x, given[side]) for side in ("key", "value")]

    def run(drop):
        query = jnp.einsum("bnd,dhk->bnhk", given["inputs"], given["query"])
        of_query = lambda x: jnp.einsum("bnd,dhk->bnhk", x, given["query"])  # noqa: E731
        source = Source(given["inputs"], project, of_query, drop)
        keys = project(given["inputs"])
        return mechanism.apply(query, *keys, Conditions(), parameters=given["parameters"], source=source)[0]

    without = {**given, "parameters": {**given["parameters"], "table": 0 * given["parameters"]["table"]}}
    if not mechanism.table_norm:
        np.testing.assert_allclose(run(lambda x: 0 * x), jitted(mechanism, {**without, "bias": None}), atol=1e-6)
    assert not np.allclose(run(lambda x: 0 * x), run(lambda x: x))


def test_buckets_grow_in_the_manner_of_logarithms():
    found = log_bucket(np.arange(-20, 21), buckets=8, max_distance=17)
    # To 4 by ones; then (17 − 1) / 4 = 4 times as far in 3 steps, rounded up: 6.35, 10.08, 16.
    far = [5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8]
    np.testing.assert_array_equal(found[20:], [0, 1, 2, 3, 4, *far])
    np.testing.assert_array_equal(found[:21], -found[20:][::-1])


def test_refuses_what_it_cannot_do_naming_what_can():
    PLAIN.check(causal=False, cross=False, positions="learned")
    for wrong, match in (
        ({"span": 0}, "span: expected at least 1"),
        ({"buckets": 1}, "buckets: expected 0"),
        ({"buckets": 8, "span": 5}, "less than twice the span 5"),
        ({"content_to_position": False, "position_to_content": False}, "found neither. Use Dense"),
        ({"position_key_bias": True, "shared_projections": True}, "make it False"),
    ):
        with pytest.raises(ValueError, match=match):
            Disentangled(**wrong)
    for place, found in (
        ({"causal": True, "cross": False}, "causal self"),
        ({"causal": False, "cross": True}, "cross"),
    ):
        with pytest.raises(ValueError, match=f"found {found}-attention.*Dense"):
            PLAIN.check(**place, positions="none")
    with pytest.raises(ValueError, match="'rotary'. Use positions 'none'"):
        PLAIN.check(causal=False, cross=False, positions="rotary")
    with pytest.raises(ValueError, match="no incremental decoding.*Dense"):
        PLAIN.init_state(1, 8, Sizes(D, H, K), jnp.float32)
    x = jnp.zeros((B, 3, H, K))
    with pytest.raises(ValueError, match="as in cross-attention. Use Dense"):
        PLAIN.apply(x, x, x, Conditions(), parameters={})


@pytest.mark.parametrize("name", ["buckets", "talking heads"])
def test_a_pattern_lies_over_it(name):
    mechanism = EVERY[name]
    given = as_float32(arguments(mechanism))
    pattern = causal() & local(4)
    wild = {**given, "inputs": given["inputs"].at[:, 9:].set(1e6).at[:, :5].set(1e6)}
    runs = [jax.jit(lambda g: apply(mechanism, g, pattern=pattern))(g)[:, 8] for g in (given, wild)]
    np.testing.assert_array_equal(*runs)
