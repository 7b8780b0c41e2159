"""Every way of computing attention equals masked dense attention in float64, its output and its gradients.

A new implementation or pattern is a row of these tables, and inherits all that stands below.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan import PATTERNS as RANDOM_PATTERNS

from t2t.attention import (
    attend,
    bidirectional,
    big_bird,
    blocks,
    causal,
    dilated,
    fixed,
    global_tokens,
    local,
    planned,
    prefix,
    strided,
    where,
)
from t2t.attention.kernels import gathered

PATTERNS = {
    "bidirectional": bidirectional(),
    "causal": causal(),
    "prefix": prefix(20),
    "local": local(17),
    "one-sided": local(9, after=3),
    "causal local": causal() & local(32),
    "dilated": causal() & dilated(6, 5),
    "strided head": causal() & strided(12),
    "strided merged": causal() & (local(16) | strided(16)),
    "fixed": causal() & fixed(16, 4),
    "row and column": blocks(12) | strided(12),
    "longformer": local(16) | global_tokens(3),
    "big bird": big_bird(16, 150, random=2),
    "predicate": where(lambda i, j: (3 * i + 5 * j) % 7 < 2) & causal(),
    "nothing": ~bidirectional(),
}
B, H, K = 2, 2, 8


def exact(q, k, v, weight, allowed, scale, bias=0.0):
    """Output, and gradients of (output · weight), of masked dense attention in float64; by the formulas."""
    q, k, v, weight, bias = (np.asarray(x, np.float64) for x in (q, k, v, weight, bias))
    logits = np.where(allowed, np.einsum("bnhk,bmhk->bhnm", q, k) * scale + bias, -np.inf)
    top = np.maximum(logits.max(-1, keepdims=True), -1e300)
    raised = np.exp(logits - top)
    total = raised.sum(-1, keepdims=True)
    p = np.divide(raised, total, out=np.zeros_like(raised), where=total > 0)
    out = np.einsum("bhnm,bmhk->bnhk", p, v)
    d_p = np.einsum("bnhk,bmhk->bhnm", weight, v)
    d_s = p * (d_p - (p * d_p).sum(-1, keepdims=True))
    d_q, d_k = np.einsum("bhnm,bmhk->bnhk", d_s, k) * scale, np.einsum("bhnm,bnhk->bmhk", d_s, q) * scale
    return out, (d_q, d_k, np.einsum("bhnm,bnhk->bmhk", p, weight)), d_s


@pytest.fixture(params=["reference", "tiles", "gathered"])
def implementation(request, monkeypatch):
    """The ways of computing: all logits at once, the kernels of a CPU, and those of an accelerator, in many chunks."""
    if request.param == "gathered":
        monkeypatch.setattr(planned, "_kernel", lambda *_: (gathered, 2**16))
        return "tiles"
    return request.param


def arrays(n, m, dtype=jnp.float32, seed=0):
    generator = np.random.default_rng(seed)
    shapes = [(B, n, H, K), (B, m, H, K), (B, m, H, K), (B, n, H, K)]
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


def packed(n):
    """Two rows of documents that restart at odd places, padding behind, a row's end or a whole row."""
    segments = np.zeros((B, n), np.int32)
    segments[0, : n // 3], segments[0, n // 3 : n - 5] = 1, 2
    segments[1, : n // 2 + 1] = 1
    return segments


def outcome(implementation, q, k, v, weight, **keywords):
    def total(q, k, v):
        out = attend(q, k, v, implementation=implementation, **keywords)
        return (out.astype(jnp.float32) * weight).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    return out, gradients


def close(found, wanted, tolerance):
    scale = max(np.abs(wanted).max(), 1.0)
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, atol=tolerance * scale)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "packed"])
def test_equals_masked_dense_attention_in_float64(implementation, name, kind):
    n, pattern = 150, PATTERNS[name]
    dtype, tolerance = (jnp.bfloat16, 3e-2) if kind == "bfloat16" else (jnp.float32, 3e-6)
    q, k, v, weight = arrays(n, n, dtype)
    allowed, keywords = np.broadcast_to(pattern.mask(n), (B, 1, n, n)), {}
    if kind == "packed":
        s = packed(n)
        allowed = allowed & (s[:, None, :, None] == s[:, None, None, :]) & (s > 0)[:, None, None, :]
        keywords = {"query_segments": jnp.asarray(s), "key_segments": jnp.asarray(s)}
    out, gradients = outcome(implementation, q, k, v, weight, pattern=pattern, **keywords)
    assert out.dtype == dtype
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    close(out, wanted, tolerance)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, tolerance)
    blind = ~np.broadcast_to(allowed.any(-1), (B, H, n))  # rows that see nothing give exactly 0
    assert (np.asarray(out, np.float32).transpose(0, 2, 1, 3)[blind] == 0).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (33, 65), (65, 33), (1, 150)])
def test_odd_lengths(n, m):
    pattern = local(20) | global_tokens(2)
    q, k, v, weight = arrays(n, m)
    out, gradients = outcome("tiles", q, k, v, weight, pattern=pattern)
    wanted, wanted_gradients, _ = exact(q, k, v, weight, pattern.mask(n, m), K**-0.5)
    close(out, wanted, 3e-6)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, 3e-6)


@pytest.mark.parametrize("name", ["causal", "strided merged", "longformer"])
@pytest.mark.parametrize("shape", [(B, H), (1, H), (1, 1)])
def test_a_bias_and_its_gradient(name, shape):
    n, pattern = 70, PATTERNS[name]
    q, k, v, weight = arrays(n, n)
    bias = jnp.asarray(np.random.default_rng(1).normal(size=(*shape, n, n)), jnp.float32)

    def total(bias):
        return (attend(q, k, v, pattern=pattern, bias=bias, implementation="tiles") * weight).sum()

    found, gradient = jax.jit(jax.value_and_grad(total))(bias)
    out, _, wanted = exact(q, k, v, weight, pattern.mask(n), K**-0.5, bias)
    np.testing.assert_allclose(found, (out * np.asarray(weight)).sum(), rtol=1e-4, atol=1e-4)
    summed = tuple(axis for axis in (0, 1) if shape[axis] == 1)
    close(gradient, wanted.sum(summed, keepdims=True), 3e-6)


def test_a_prefix_lifts_causality_and_nothing_else(implementation):
    n, inside = 70, np.zeros((B, 70), bool)
    inside[0, :30], inside[1, :5] = True, True
    q, k, v, weight = arrays(n, n)
    both = inside[:, None, :, None] & inside[:, None, None, :]
    for pattern, lifted in ((causal(), bidirectional()), (causal() & local(9), local(9))):
        allowed = pattern.mask(n) | (both & lifted.mask(n))
        out, gradients = outcome(implementation, q, k, v, weight, pattern=pattern, prefix=jnp.asarray(inside))
        wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
        close(out, wanted, 3e-6)
        for found, expected in zip(gradients, wanted_gradients):
            close(found, expected, 3e-6)


def test_positions_replace_the_order_in_the_row(implementation):
    n = 50
    positions = np.stack([np.random.default_rng(row).permutation(n) for row in range(B)])
    pattern = causal() & fixed(8, 2)
    q, k, v, weight = arrays(n, n)
    allowed = pattern.allows(positions[:, None, :, None], positions[:, None, None, :])
    given = jnp.asarray(positions)
    out, gradients = outcome(
        implementation, q, k, v, weight, pattern=pattern, query_positions=given, key_positions=given
    )
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    close(out, wanted, 3e-6)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, 3e-6)


def test_each_head_may_have_a_pattern_of_its_own(implementation):
    n, patterns = 60, [causal() & local(8), causal() & strided(8)]
    q, k, v, weight = arrays(n, n)
    bias = jnp.asarray(np.random.default_rng(1).normal(size=(1, H, n, n)), jnp.float32)
    out, _ = outcome(implementation, q, k, v, weight, pattern=patterns, bias=bias)
    allowed = np.stack([p.mask(n) for p in patterns])[None]
    close(out, exact(q, k, v, weight, allowed, K**-0.5, bias)[0], 3e-6)


@flax.struct.dataclass
class Slope:
    """A bias with something to learn: a slope for each head."""

    slopes: jax.Array

    def __call__(self, query, key):
        return -self.slopes[None, :, None, None] * jnp.abs(query[:, None, :, None] - key[:, None, None, :])


@flax.struct.dataclass
class SlopeOfDistances(Slope):
    """The same, which says that it looks at nothing but the distance."""

    def of_distances(self, distance):
        return -jnp.multiply.outer(self.slopes, jnp.abs(distance))


@pytest.mark.parametrize("kind", [Slope, SlopeOfDistances])
def test_a_bias_that_is_made_from_positions_and_its_gradient(implementation, kind):
    n, slopes = 70, jnp.asarray([0.3, 0.02])
    q, k, v, weight = arrays(n, n)
    away = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    bias = -np.asarray(slopes)[None, :, None, None] * away
    patterns = [causal() & local(16), causal() & strided(8)]
    for pattern, allowed in (
        (causal() & (local(16) | strided(16)), (causal() & (local(16) | strided(16))).mask(n)),
        (patterns[0], patterns[0].mask(n)),
        (patterns, np.stack([p.mask(n) for p in patterns])[None]),
    ):

        def total(slopes, pattern=pattern):
            return (attend(q, k, v, pattern=pattern, bias=kind(slopes), implementation=implementation) * weight).sum()

        found, gradient = jax.value_and_grad(total)(slopes)
        out, _, d_bias = exact(q, k, v, weight, allowed, K**-0.5, bias)
        np.testing.assert_allclose(found, (out * np.asarray(weight)).sum(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(gradient, (d_bias * -away).sum((0, 2, 3)), rtol=1e-4, atol=1e-4)
    plain = attend(q, k, v, bias=Slope(slopes).__call__, implementation=implementation)
    close(plain, exact(q, k, v, weight, np.ones((n, n), bool), K**-0.5, bias)[0], 3e-6)


@pytest.mark.parametrize("over_queries", [False, True])
def test_dropout_is_the_same_forward_and_backward(over_queries):
    """The output is linear in the values, so the gradient to them says what the weights were."""
    n = 70
    q, k, v, _ = arrays(n, n)
    run = functools.partial(
        attend,
        q,
        k,
        pattern=causal() & local(16),
        dropout_rate=0.4,
        dropout_key=jax.random.key(3),
        dropout_over_queries=over_queries,
        implementation="tiles",
    )
    out, pull = jax.vjp(run, v)
    weight = jnp.asarray(np.random.default_rng(5).normal(size=out.shape), jnp.float32)
    np.testing.assert_allclose((out * weight).sum(), (pull(weight)[0] * v).sum(), rtol=1e-4)
    ones = jax.vmap(lambda key: run(jnp.ones_like(v), dropout_key=key))(jax.random.split(jax.random.key(0), 200))
    np.testing.assert_allclose(ones.mean(), 1.0, atol=0.02)
    assert (out != attend(q, k, v, pattern=causal() & local(16))).any()

    def loss(q):
        return jnp.sin(attend(q, k, v, **run.keywords)).sum()

    direction = jnp.asarray(np.random.default_rng(2).normal(size=q.shape), jnp.float32)
    step = 1e-2 * direction
    np.testing.assert_allclose(
        (jax.grad(loss)(q) * direction).sum(), (loss(q + step) - loss(q - step)) / 2e-2, rtol=1e-2, atol=1e-3
    )


@pytest.mark.parametrize("name", ["causal", "strided merged", "fixed", "longformer", "big bird", "predicate"])
def test_nothing_outside_the_pattern_has_influence(name):
    n, pattern = 96, PATTERNS[name]
    q, k, v, _ = arrays(n, n)
    hidden = ~pattern.mask(n)[50]
    wild_k, wild_v = (jnp.where(jnp.asarray(hidden)[None, :, None, None], 1e6, x) for x in (k, v))
    run = functools.partial(attend, pattern=pattern, implementation="tiles")
    np.testing.assert_array_equal(run(q, k, v)[:, 50], run(q, wild_k, wild_v)[:, 50])
    gradient = jax.grad(lambda v: run(q, k, v)[:, 50].sum())(v)
    assert (np.asarray(gradient)[:, hidden] == 0).all()
    assert (np.asarray(gradient)[:, ~hidden] != 0).all()


@settings(max_examples=20, deadline=None)
@given(RANDOM_PATTERNS, st.sampled_from(["reference", "tiles"]), st.integers(0, 2**16))
def test_a_query_is_blind_to_the_rest_and_to_the_order_of_what_it_sees(pattern, implementation, seed):
    """Causality is the case of `causal() & …`: the rest is then what comes after."""
    n, generator = 40, np.random.default_rng(seed)
    q, k, v, _ = arrays(n, n)
    query = int(generator.integers(n))
    seen = np.flatnonzero(pattern.mask(n)[query])
    order = np.arange(n)
    order[seen] = generator.permutation(seen)
    shuffled = [x[:, order] for x in (k, v)]
    wild = [x.at[:, np.setdiff1d(np.arange(n), seen)].set(1e6) for x in shuffled]
    run = jax.jit(functools.partial(attend, pattern=pattern, implementation=implementation))
    np.testing.assert_allclose(run(q, *wild)[:, query], run(q, k, v)[:, query], atol=2e-6)


def test_sharded_over_batch_and_heads_equals_unsharded():
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:4]).reshape(2, 2), ("data", "tensor"))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data", None, "tensor"))
    q, k, v, weight = arrays(64, 64)

    def total(q, k, v):
        return (attend(q, k, v, pattern=causal() & (local(8) | strided(8)), implementation="tiles") * weight).sum()

    run = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
    alone, together = run(q, k, v), run(*(jax.device_put(x, place) for x in (q, k, v)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), alone, together)
    assert "all-gather" not in run.lower(*(jax.device_put(x, place) for x in (q, k, v))).compile().as_text()


def test_equal_patterns_do_not_compile_anew():
    calls = []

    @functools.partial(jax.jit, static_argnames="pattern")
    def run(q, k, v, pattern):
        calls.append(pattern)
        return attend(q, k, v, pattern=pattern, implementation="tiles")

    q, k, v, _ = arrays(32, 32)
    for _ in range(2):
        run(q, k, v, causal() & (local(8) | strided(8)))
    assert len(calls) == 1


def test_what_cannot_be_is_refused():
    q, k, v, _ = arrays(8, 8)
    with pytest.raises(ValueError, match="expected 'auto', 'reference', 'tiles' or 'fused'"):
        attend(q, k, v, implementation="flash")
    with pytest.raises(ValueError, match="one for each of 2 heads, found 3"):
        attend(q, k, v, pattern=[causal()] * 3)
    with pytest.raises(ValueError, match="expected a bias broadcastable to"):
        attend(q, k, v, bias=jnp.zeros((1, 1, 8, 9)))
