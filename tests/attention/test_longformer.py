"""Longformer's attention equals its formula in float64, whatever tokens are global, and in packed rows.

That it equals the published models' is what tests/parity shows.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import Conditions, Longformer, Sizes, Source, causal
from t2t.attention.longformer import ROLES, places

B, H, K, D = 2, 2, 4, 6
PACKED = np.asarray([[1] * 9 + [2] * 5 + [3] * 2 + [0] * 3, [0] * 2 + [1] * 3 + [2] * 7 + [3] * 7])
N = PACKED.shape[1]
NONE, FEW, MANY = (np.zeros((B, N), int) for _ in range(3))
FEW[0, [0, 11]] = FEW[1, [3, 18, 1]] = 1  # one of them is padding, which is never global
MANY[0, :9] = MANY[1, ::3] = 1
MECHANISM = Longformer(window=3, most=3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arguments():
    """Everything that is differentiated."""
    wanted = MECHANISM.parameters(Sizes(width=D, heads=H, head_width=K)).items()
    return {
        "query": draw(B, N, H, K),
        "inputs": draw(B, N, D, seed=1),
        "key": draw(D, H, K, seed=2),
        "value": draw(D, H, K, seed=3),
        "parameters": {name: draw(*p.shape, seed=4 + i) for i, (name, p) in enumerate(wanted)},
    }


def apply(mechanism, given, segments=None, marked=None, **conditions):
    def project(x):
        return jnp.einsum("bnd,dhk->bnhk", x, given["key"]), jnp.einsum("bnd,dhk->bnhk", x, given["value"])

    return mechanism.apply(
        given["query"],
        *project(given["inputs"]),
        Conditions(query_segments=segments, key_segments=segments, global_tokens=marked, **conditions),
        parameters=given["parameters"],
        source=Source(given["inputs"], project),
    )[0]


jitted = jax.jit(apply, static_argnums=0)


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def reference(given, segments, marked):
    """Beltagy et al. 2020, section 3.1, for each row, document and head by itself."""
    out, own = np.zeros(given["query"].shape), given["parameters"]
    for b in range(len(segments)):
        for segment in set(segments[b]) - {0}:
            at = np.flatnonzero(segments[b] == segment)
            x, everywhere = given["inputs"][b, at], marked[b, at] > 0
            near = abs(at[:, None] - at) < MECHANISM.window
            for h in range(H):
                logits = given["query"][b, at, h] @ (x @ given["key"][:, h]).T / np.sqrt(K)
                mixed = softmax(np.where(near | everywhere, logits, -np.inf)) @ (x @ given["value"][:, h])
                query, key, value = (x @ own[f"global_{r}_kernel"][:, h] + own[f"global_{r}_bias"][h] for r in ROLES)
                out[b, at, h] = np.where(everywhere[:, None], softmax(query @ key.T / np.sqrt(K)) @ value, mixed)
    return out


def as_float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


@pytest.mark.parametrize("marked", [NONE, FEW, MANY, np.ones((B, N), int)], ids=["none", "few", "many", "all"])
def test_equals_the_formula_and_so_does_its_gradient(marked):
    given, probe = arguments(), draw(B, N, H, K, seed=19)

    def total(given):
        out = apply(MECHANISM, given, jnp.asarray(PACKED), jnp.asarray(marked))
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    gradients, out = jax.jit(jax.grad(total, has_aux=True))(as_float32(given))
    np.testing.assert_allclose(out, reference(given, PACKED, marked), atol=1e-5)
    assert (out[PACKED == 0] == 0).all()
    leaves, tree = jax.tree.flatten(given)
    for i, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = tree.unflatten([x + step * direction if j == i else x for j, x in enumerate(leaves)])
            return (probe * reference(moved, PACKED, marked)).sum()

        np.testing.assert_allclose((gradient * direction).sum(), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_row_of_any_length_without_segments(n):
    given = arguments()
    given |= {"query": given["query"][:, :n], "inputs": given["inputs"][:, :n]}
    marked = FEW[:, :n]
    found = jitted(MECHANISM, as_float32(given), None, jnp.asarray(marked))
    np.testing.assert_allclose(found, reference(given, np.ones((B, n), int), marked), atol=1e-5)


def test_the_first_of_each_document_are_global_where_nothing_says_which():
    given, first = arguments(), np.zeros((B, N), int)
    first[0, [0, 9, 14]] = first[1, [2, 5, 12]] = 1
    found = jitted(Longformer(window=3, first=1), as_float32(given), jnp.asarray(PACKED))
    np.testing.assert_allclose(found, reference(given, PACKED, first), atol=1e-5)
    none = jitted(Longformer(window=3, first=1), as_float32(given), jnp.asarray(PACKED), jnp.asarray(NONE))
    np.testing.assert_allclose(none, reference(given, PACKED, NONE), atol=1e-5)


def test_places():
    at, there = places(jnp.asarray(FEW > 0), 3)
    np.testing.assert_array_equal(at, [[0, 11, 0], [1, 3, 18]])
    np.testing.assert_array_equal(there, [[True, True, False], [True, True, True]])


def test_dropout_is_drawn_and_bfloat16_stays():
    given = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arguments())
    for marked in (NONE, FEW, MANY):
        plain = apply(MECHANISM, given, marked=jnp.asarray(marked))
        assert plain.dtype == jnp.bfloat16
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), given)
        expected = reference(exact, np.ones_like(PACKED), marked)
        np.testing.assert_allclose(plain.astype(jnp.float32), expected, atol=0.15, rtol=0.1)
        dropped = apply(MECHANISM, given, marked=jnp.asarray(marked), dropout_rate=0.5, dropout_key=jax.random.key(0))
        assert jnp.isfinite(dropped).all()
        assert not np.allclose(dropped, plain)


def test_refuses_what_it_cannot_do_naming_what_can():
    given = as_float32(arguments())
    MECHANISM.check(causal=False, cross=False, positions="learned")
    with pytest.raises(ValueError, match="window: expected at least 1"):
        Longformer(window=0)
    for place, found in (
        ({"causal": True, "cross": False}, "causal self"),
        ({"causal": False, "cross": True}, "cross"),
    ):
        with pytest.raises(ValueError, match=f"found {found}-attention.*Dense"):
            MECHANISM.check(**place, positions="learned")
    with pytest.raises(ValueError, match="knows no distances.*'learned'"):
        MECHANISM.check(causal=False, cross=False, positions="rotary")
    with pytest.raises(ValueError, match="no incremental decoding.*Sparse"):
        MECHANISM.init_state(1, 8, Sizes(D, H, K), jnp.float32)
    with pytest.raises(ValueError, match="found pattern.*Dense"):
        apply(MECHANISM, given, pattern=causal())
    with pytest.raises(ValueError, match="knows no bias"):
        apply(MECHANISM, given, bias=jnp.zeros((1, 1, N, N)))
    with pytest.raises(ValueError, match="as in cross-attention"):
        MECHANISM.apply(given["query"], given["query"], given["query"], Conditions(), parameters=given["parameters"])
    with pytest.raises(ValueError, match="are for the mechanism Longformer"):
        Conditions(global_tokens=jnp.asarray(FEW)).keywords()
