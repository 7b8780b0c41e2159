"""BigBird's attention equals what its definition says of every pair, in float64; packed documents equal separate ones.

That it equals the published models' is what tests/parity shows.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import BigBird, Conditions, Sizes, causal

B, H, K = 2, 2, 4
MECHANISM = BigBird(block=2, random=1)  # dense up to 14


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arguments(n):
    return [draw(B, n, H, K, seed=seed) for seed in range(3)]


def apply(given, segments=None, mechanism=MECHANISM, **conditions):
    return mechanism.apply(*given, Conditions(query_segments=segments, key_segments=segments, **conditions))[0]


jitted = jax.jit(apply, static_argnames="mechanism")


def counts(n, mechanism=MECHANISM):
    """How often each of n keys is in the softmax of each query: the lists of the published code, block by block."""
    size = mechanism.block
    last = -(-n // size) - 1
    if n <= mechanism.dense_length:
        return np.ones((n, n))
    table = np.zeros((last + 1, last + 1))
    for query in range(last + 1):
        if query in (0, last):
            seen = list(range(last + 1))
        elif query == 1:
            seen = [0, 1, 2, last]
        elif query == last - 1:
            seen = [0, last - 2, last - 1, last]
        else:
            seen = [0, query - 1, query, query + 1, last]
        seen += [0] * mechanism.random if query not in (0, last) else []
        np.add.at(table[query], seen, 1)
    return np.kron(table, np.ones((size, size)))[:n, :n]


def reference(given, segments, times):
    """Attention where keys count several times; times [b n n]."""
    query, key, value = given
    times = times * (segments[:, :, None] == segments[:, None]) * (segments > 0)[:, None]
    logits = np.einsum("bnhk,bmhk->bhnm", query, key) / np.sqrt(K)
    weights = np.exp(logits - logits.max(-1, keepdims=True)) * times[:, None]
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    return np.einsum("bhnm,bmhk->bnhk", weights, value)


def as_float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


@pytest.mark.parametrize("n", [3, 14, 15, 16, 21, 300])
@pytest.mark.parametrize("random", [0, 1, 2])
def test_equals_its_definition_and_so_does_its_gradient(n, random):
    """Of rows that end within a block, with padding on either side, dense and block sparse."""
    mechanism = BigBird(block=2 if n < 300 else 16, random=random)
    given, probe, segments = arguments(n), draw(B, n, H, K, seed=9), np.ones((B, n), int)
    segments[0, n - n // 4 :] = segments[1, : n // 4] = 0
    times = np.broadcast_to(counts(n, mechanism), (B, n, n))

    def total(given):
        out = apply(given, jnp.asarray(segments), mechanism)
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    gradients, out = jax.jit(jax.grad(total, has_aux=True))(as_float32(given))
    np.testing.assert_allclose(out, reference(given, segments, times), atol=1e-5)
    bare = jitted(as_float32(given), mechanism=mechanism)
    np.testing.assert_allclose(bare, reference(given, np.ones_like(segments), times), atol=1e-5)
    for i, gradient in enumerate(gradients):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = [x + step * direction if j == i else x for j, x in enumerate(given)]
            return (probe * reference(moved, segments, times)).sum()

        np.testing.assert_allclose((gradient * direction).sum(), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=2e-4, atol=2e-4)


def test_packed_documents_equal_separate_ones():
    """One long and one short enough to see all of itself; another row is one document with padding ahead of it."""
    lengths, n = (17, 9, 15), 44
    segments, times = np.zeros((B, n), int), np.zeros((B, n, n))
    segments[1, 5:], times[1], begin = 1, counts(n), 0
    for i, length in enumerate(lengths, start=1):
        here = slice(begin, begin + length)
        segments[0, here], times[0, here, here], begin = i, counts(length), begin + length
    given = arguments(n)
    found = jitted(as_float32(given), jnp.asarray(segments))
    np.testing.assert_allclose(found, reference(given, segments, times), atol=1e-5)


def test_dropout_is_drawn_and_bfloat16_stays():
    given = [jnp.asarray(x, jnp.bfloat16) for x in arguments(20)]
    plain = apply(given)
    assert plain.dtype == jnp.bfloat16
    exact = [np.asarray(x, np.float64) for x in given]
    expected = reference(exact, np.ones((B, 20), int), np.broadcast_to(counts(20), (B, 20, 20)))
    np.testing.assert_allclose(plain.astype(jnp.float32), expected, atol=0.05, rtol=0.05)
    dropped = apply(given, dropout_rate=0.5, dropout_key=jax.random.key(0))
    assert jnp.isfinite(dropped).all()
    assert not np.allclose(dropped, plain)


def test_its_cost_grows_with_the_length_alone():
    sizes = Sizes(8, H, K)
    mechanism = BigBird(block=64, random=3)
    long, longer = (mechanism.flops(n, n, sizes, causal=False) for n in (4096, 8192))
    assert longer / long == pytest.approx(2.0, rel=0.05)


def test_refuses_what_it_cannot_do_naming_what_can():
    given = as_float32(arguments(8))
    MECHANISM.check(causal=False, cross=False, positions="learned")
    with pytest.raises(ValueError, match="block: expected at least 1"):
        BigBird(block=0)
    for place, found in (
        ({"causal": True, "cross": False}, "causal self"),
        ({"causal": False, "cross": True}, "cross"),
    ):
        with pytest.raises(ValueError, match=f"found {found}-attention.*Dense"):
            MECHANISM.check(**place, positions="learned")
    with pytest.raises(ValueError, match="have a bias already"):
        MECHANISM.check(causal=False, cross=False, positions="relative_bias")
    with pytest.raises(ValueError, match="no incremental decoding.*Sparse"):
        MECHANISM.init_state(1, 8, Sizes(8, H, K), jnp.float32)
    with pytest.raises(ValueError, match="pattern causal.*Dense"):
        apply(given, pattern=causal())
    with pytest.raises(ValueError, match="have a bias already"):
        apply(given, bias=jnp.zeros((1, 1, 8, 8)))
