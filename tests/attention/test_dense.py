"""Dense attention equals a float64 reference written from the paper's equation, and its gradient that of finite
differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import attend, bidirectional, causal, local


def reference(q, k, v, allowed, bias=0.0, scale=None):
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    logits = np.einsum("bnhk,bmhk->bhnm", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale) + np.asarray(
        bias, np.float64
    )
    weights = np.where(allowed, np.exp(logits - logits.max(-1, keepdims=True)), 0.0)
    total = weights.sum(-1, keepdims=True)
    return np.einsum("bhnm,bmhk->bnhk", np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), v)


@pytest.fixture
def qkv():
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=(2, n, 3, 4)), jnp.float32) for n in (7, 7, 7)]


@pytest.mark.parametrize("pattern", [bidirectional(), causal(), local(3), causal() & local(2)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_equals_the_reference(qkv, pattern, packed, biased):
    segments = jnp.asarray([[1, 1, 1, 2, 2, 0, 0], [1, 1, 1, 1, 1, 1, 2]]) if packed else None
    bias = jnp.asarray(np.random.default_rng(1).normal(size=(1, 3, 7, 7)), jnp.float32) if biased else None
    allowed = np.broadcast_to(pattern.mask(7), (2, 1, 7, 7))
    if packed:
        s = np.asarray(segments)
        allowed = allowed & (s[:, None, :, None] == s[:, None, None, :]) & (s > 0)[:, None, None, :]
    out = attend(*qkv, pattern=pattern, bias=bias, query_segments=segments, key_segments=segments)
    np.testing.assert_allclose(out, reference(*qkv, allowed, 0.0 if bias is None else bias), atol=2e-6)


def test_rows_that_see_nothing_give_zero_and_no_gradient_of_nan(qkv):
    segments = jnp.asarray([[1, 1, 0, 0, 0, 0, 0], [0] * 7])

    def total(q, k, v):
        return (attend(q, k, v, query_segments=segments, key_segments=segments) ** 2).sum()

    out = attend(*qkv, query_segments=segments, key_segments=segments)
    assert (out[1] == 0).all()
    assert (out[0, 2:] == 0).all()
    assert (attend(*qkv, pattern=~bidirectional()) == 0).all()
    assert all(jnp.isfinite(g).all() for g in jax.grad(total, argnums=(0, 1, 2))(*qkv))


def test_gradient_is_the_derivative(qkv):
    def total(q):
        return jnp.sin(attend(q, *qkv[1:], pattern=causal())).sum()

    direction = jnp.asarray(np.random.default_rng(2).normal(size=qkv[0].shape), jnp.float32)
    measured = (total(qkv[0] + 1e-2 * direction) - total(qkv[0] - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose((jax.grad(total)(qkv[0]) * direction).sum(), measured, rtol=2e-3)


def test_a_prefix_sees_itself_both_ways(qkv):
    prefix = jnp.asarray([[1, 1, 1, 0, 0, 0, 0]] * 2)
    allowed = causal().mask(7).copy()
    allowed[:3, :3] = True
    np.testing.assert_allclose(attend(*qkv, pattern=causal(), prefix=prefix), reference(*qkv, allowed), atol=2e-6)


def test_positions_replace_the_order_of_keys(qkv):
    order = np.asarray([3, 0, 6, 1, 5, 2, 4])
    positions = jnp.asarray(np.stack([order, order]))
    out = attend(*qkv, pattern=causal(), query_positions=positions, key_positions=positions)
    np.testing.assert_allclose(out, reference(*qkv, order[None, :] <= order[:, None]), atol=2e-6)


def test_dropout_keeps_the_mean_and_can_be_shared_by_queries(qkv):
    q, k, _ = qkv
    ones = jnp.ones_like(k)
    keys = jax.random.split(jax.random.key(0), 400)
    outs = jax.vmap(lambda key: attend(q, k, ones, dropout_rate=0.3, dropout_key=key))(keys)
    np.testing.assert_allclose(outs.mean(), 1.0, atol=0.02)
    flat = attend(jnp.zeros_like(q), k, ones, dropout_rate=0.5, dropout_key=keys[0], dropout_over_queries=True)
    assert (flat == flat[:, :1]).all()


def test_bfloat16_computes_its_softmax_in_float32(qkv):
    q, k, v = (x.astype(jnp.bfloat16) for x in qkv)
    out = attend(q, k, v, pattern=causal())
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), reference(q, k, v, causal().mask(7)), atol=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": (2, 7, 2, 4)}, "expected query"),
        ({"query_segments": (2, 7)}, "go together"),
        ({"query_segments": (2, 6), "key_segments": (2, 7)}, r"expected query_segments \(2, 7\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(qkv, change, message):
    arguments = dict(zip(("query", "key", "value"), qkv)) | {
        name: jnp.ones(shape, jnp.int32 if "segments" in name else jnp.float32) for name, shape in change.items()
    }
    with pytest.raises(ValueError, match=message):
        attend(**arguments)
