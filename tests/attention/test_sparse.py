"""The sparse mechanism: caches of the size that the pattern needs, packing, heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import Conditions, KVCache, Sizes, Sparse, attend, blocks, causal
from t2t.attention.cache import WindowCache

SIZES = Sizes(width=12, heads=2, head_width=6)
B, N = 2, 40
CACHED = {
    "local(8)": 7,
    "local(5) | global_tokens(3)": 4 + 3,
    "fixed(8, 2)": 7 + 2 * N // 8,
    "dilated(3, 4)": 8,
    "strided(8)": None,
    "local(6) & strided(2)": 5,
    "blocks(8) | first_keys(2)": 7 + 2,
}


def qkv(n=N, seed=0):
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.normal(size=(B, n, 2, 6)), jnp.float32) for _ in range(3)]


def decode(mechanism, q, k, v, segments, positions, cuts, prefix=None):
    """The outputs when the positions come in parts, and the last state."""
    state, outs, apply = mechanism.init_state(B, q.shape[1], SIZES, jnp.float32), [], jax.jit(mechanism.apply)
    for start, stop in zip(cuts, cuts[1:]):
        part = slice(start, stop)
        conditions = Conditions(
            pattern=causal(),
            query_segments=segments[:, part],
            key_segments=segments[:, part],
            query_positions=positions[:, part],
            key_positions=positions[:, part],
            prefix=prefix if start == 0 else None,
        )
        out, state = apply(q[:, part], k[:, part], v[:, part], conditions, state=state)
        outs.append(out)
    return jnp.concatenate(outs, axis=1), state


@pytest.mark.parametrize("text", CACHED)
def test_cached_equals_uncached(text):
    """Token by token, and in parts of several; the second row is padded, and begins five slots late."""
    mechanism, (q, k, v) = Sparse(pattern=text), qkv()
    late = np.asarray([0, 5])[:, None]
    positions = jnp.asarray(np.maximum(np.arange(N)[None] - late, 0), jnp.int32)
    segments = jnp.asarray(np.arange(N)[None] >= late, jnp.int32)
    wanted = attend(
        q,
        k,
        v,
        pattern=causal() & mechanism.patterns[0],
        query_segments=segments,
        key_segments=segments,
        query_positions=positions,
        key_positions=positions,
    )
    for cuts in ([0, 9, *range(10, N + 1)], [0, 20, 33, N]):
        out, state = decode(mechanism, q, k, v, segments, positions, cuts)
        np.testing.assert_allclose(out, wanted, atol=2e-6)
        assert int(state.index) == N
    if CACHED[text] is None:
        assert isinstance(state, KVCache)
    else:
        assert isinstance(state, WindowCache)
        assert state.key.shape[1] == CACHED[text]


def test_a_prefix_is_read_both_ways_and_decoded_on():
    mechanism, (q, k, v) = Sparse(pattern="local(8)"), qkv()
    positions = jnp.broadcast_to(jnp.arange(N), (B, N))
    segments = jnp.ones((B, N), jnp.int32)
    prefix = jnp.broadcast_to(jnp.arange(N) < 6, (B, N))
    wanted, _ = mechanism.apply(q, k, v, Conditions(pattern=causal(), prefix=prefix))
    out, _ = decode(mechanism, q, k, v, segments, positions, [0, 9, *range(10, N + 1)], prefix=prefix[:, :9])
    np.testing.assert_allclose(out, wanted, atol=2e-6)


@pytest.mark.parametrize("text", ["local(8)", "fixed(8, 2)", "local(4) | global_tokens(2)", "strided(4)"])
def test_packed_equals_separate(text):
    """Positions of a pattern are those in the document, wherever it stands in the row."""
    mechanism, (q, k, v), cut = Sparse(pattern=text), qkv(), 13
    segments = jnp.asarray(np.repeat([[1] * cut + [2] * 20 + [0] * (N - cut - 20)], B, axis=0), jnp.int32)
    conditions = Conditions(pattern=causal(), query_segments=segments, key_segments=segments)

    @jax.jit
    def together(q, k, v):
        out, _ = mechanism.apply(q, k, v, conditions)
        return out

    out = together(q, k, v)
    for part in (slice(0, cut), slice(cut, cut + 20)):
        alone, _ = mechanism.apply(q[:, part], k[:, part], v[:, part], Conditions(pattern=causal()))
        np.testing.assert_allclose(out[:, part], alone, atol=2e-6)
    assert (out[:, cut + 20 :] == 0).all()
    gradient = jax.grad(lambda v: together(q, k, v)[:, :cut].sum())(v)
    assert (gradient[:, cut:] == 0).all()


def test_heads_of_their_own_share_a_cache():
    mechanism, (q, k, v) = Sparse(pattern=["local(4)", "local(9)"]), qkv()
    positions, segments = jnp.broadcast_to(jnp.arange(N), (B, N)), jnp.ones((B, N), jnp.int32)
    wanted, _ = mechanism.apply(q, k, v, Conditions(pattern=causal()))
    out, state = decode(mechanism, q, k, v, segments, positions, list(range(N + 1)))
    np.testing.assert_allclose(out, wanted, atol=2e-6)
    assert state.key.shape[1] == 8


def test_positions_may_be_counted_from_where_the_row_begins():
    """Padding in front moves the blocks of documents, and not those of rows."""
    q, k, v = qkv()
    segments = jnp.asarray([[0, 0, 0] + [1] * (N - 3)] * len(q))
    conditions = Conditions(query_segments=segments, key_segments=segments)
    rows = Sparse(pattern="blocks(4)", counted="row").apply(q, k, v, conditions)[0]
    allowed = blocks(4).mask(N)[None] & (segments[:, None, :] == segments[:, :, None]) & (segments > 0)[:, None]
    logits = jnp.einsum("bnhk,bmhk->bhnm", q, k) * q.shape[-1] ** -0.5
    weights = jax.nn.softmax(jnp.where(allowed[:, None], logits, -1e30))
    expected = jnp.einsum("bhnm,bmhk->bnhk", weights, v)
    np.testing.assert_allclose(rows[:, 3:], expected[:, 3:], atol=1e-5)
    documents = Sparse(pattern="blocks(4)").apply(q, k, v, conditions)[0]
    assert np.abs(documents - rows)[:, 3:].max() > 1e-2
