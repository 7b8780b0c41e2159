"""The device's own kernels compute the same attention: plans of dense calls, their layouts, joining and gradients.

Here cuDNN's primitives are replaced by what they compute on paper; `test_cudnn.py` runs the real ones where a GPU is.
"""

import dataclasses
import functools
import logging
import subprocess
import sys
import types

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cudnn_on_paper import backward, forward
from jax._src.cudnn import fused_attention_stablehlo as stablehlo
from test_conformance import PATTERNS, B, H, K, Slope, arrays, close, exact, outcome

from t2t.attention import attend, bidirectional, blocks, causal, fixed, global_tokens, local, strided, summaries
from t2t.attention import dense_plan as of_plans
from t2t.attention.kernels import cudnn, fused

MORE = {
    "fixed head": causal() & summaries(16, 4),
    "fixed, both ways": fixed(16, 4),
    "summaries": summaries(16, 4),
    "causal longformer": causal() & (local(16) | global_tokens(8)),
    "row and column, causal": causal() & (blocks(12) | strided(12)),
    "blocks": blocks(48),
}
NOT_DENSE = {"big bird", "predicate", "nothing"}


@pytest.fixture
def paper(monkeypatch):
    """cuDNN on paper, in any dtype and however short."""
    monkeypatch.setattr(fused, "device", lambda: cudnn)
    monkeypatch.setattr(fused, "works", lambda kernels, kind: True)
    monkeypatch.setattr(fused, "MOST_DOCUMENTS", 4)
    monkeypatch.setattr(of_plans, "SHORTEST", 4)
    on_paper(monkeypatch)
    of_plans.candidates.cache_clear()
    yield
    of_plans.candidates.cache_clear()


def on_paper(monkeypatch, forward=forward, backward=backward):
    monkeypatch.setattr(stablehlo, "_dot_product_attention_fwd_p_wrapper", types.SimpleNamespace(bind=forward))
    monkeypatch.setattr(stablehlo, "_dot_product_attention_bwd_p_wrapper", types.SimpleNamespace(bind=backward))
    monkeypatch.setattr(cudnn, "takes", lambda kind: True)
    monkeypatch.setitem(cudnn.NEVER, jnp.dtype(jnp.float32), -(2.0**40))


def check(n, pattern, dtype=jnp.float32, allowed=None, tolerance=3e-6, **keywords):
    q, k, v, weight = arrays(n, n, dtype)
    out, gradients = outcome("fused", q, k, v, weight, pattern=pattern, **keywords)
    allowed = np.broadcast_to(pattern.mask(n) if allowed is None else allowed, (B, 1, n, n))
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    assert out.dtype == dtype
    close(out, wanted, tolerance)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, tolerance)
    blind = ~np.broadcast_to(allowed.any(-1), (B, H, n))
    assert (np.asarray(out, np.float32).transpose(0, 2, 1, 3)[blind] == 0).all()


@pytest.mark.parametrize("name", [name for name in PATTERNS | MORE if name not in NOT_DENSE])
def test_every_pattern_equals_masked_dense_attention_in_float64(paper, name):
    check(144, (PATTERNS | MORE)[name])


@pytest.mark.parametrize("name", ["bidirectional", "strided merged", "summaries"])
def test_odd_lengths_in_sixteen_bits(paper, name):
    check(150, (PATTERNS | MORE)[name], jnp.bfloat16, tolerance=3e-2)


PADDED = np.asarray([[3] * 100 + [0] * 44, [1] * 144])
PACKED = np.asarray([[1] * 40 + [2] * 99 + [0] * 5, [0] * 9 + [1] * 31 + [2] * 3 + [5] * 101])
MIXED = np.asarray([[1, 2] * 72, [1] * 144])


def program(pattern, **keywords):
    """Compiled once: arrays and segments → output and gradients."""

    def total(q, k, v, weight, query_segments, key_segments):
        segments = {"query_segments": query_segments, "key_segments": key_segments}
        out = attend(q, k, v, pattern=pattern, implementation="fused", **segments, **keywords)
        return (out.astype(jnp.float32) * weight).sum(), out

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))


def check_rows(run, pattern, queries, keys):
    """One program holds rows to their segments, whatever these are."""
    queries, keys = np.asarray(queries), np.asarray(keys)
    n, m = queries.shape[1], keys.shape[1]
    q, k, v, weight = arrays(n, m)
    allowed = (queries[:, None, :, None] == keys[:, None, None, :]) & (keys > 0)[:, None, None, :] & pattern.mask(n, m)
    (_, out), gradients = run(q, k, v, weight, jnp.asarray(queries), jnp.asarray(keys))
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    for found, expected in zip((out, *gradients), (wanted, *wanted_gradients)):
        close(found, expected, 3e-6)
    blind = ~np.broadcast_to(allowed.any(-1), (B, H, n))
    assert (np.asarray(out).transpose(0, 2, 1, 3)[blind] == 0).all()


@pytest.mark.parametrize("name", ["bidirectional", "causal local", "strided merged", "row and column"])
def test_segments_are_held_to_whatever_they_are(paper, name):
    run = program(PATTERNS[name])
    for segments in (PADDED, PACKED, MIXED, np.ones_like(PADDED)):
        check_rows(run, PATTERNS[name], segments, segments)


def test_cross_attention_of_padded_and_packed_rows(paper):
    run = program(bidirectional())
    for queries, keys in (
        ([[4] * 50 + [0] * 10, [0] * 60], [[4] * 70 + [0] * 30, [2] * 100]),
        ([[1] * 20 + [2] * 40, [1] * 60], [[1] * 90 + [2] * 10, [1] * 80 + [0] * 20]),
        ([[1] * 60, [1] * 60], [[2] * 100, [1] * 100]),  # a row that sees nothing
    ):
        check_rows(run, bidirectional(), queries, keys)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("bidirectional", (B, H)),
        ("causal", (1, H)),
        ("local", (1, 1)),
        ("causal longformer", (1, H)),
        ("causal", "made"),
    ],
)
def test_a_bias_and_its_gradient(paper, name, shape):
    n, pattern, made = 130, (PATTERNS | MORE)[name], shape == "made"
    q, k, v, weight = arrays(n, n)
    away = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    given = jnp.asarray([0.3, 0.02] if made else np.random.default_rng(1).normal(size=(*shape, n, n)), jnp.float32)

    def total(given):
        bias = Slope(given) if made else given
        return (attend(q, k, v, pattern=pattern, bias=bias, implementation="fused") * weight).sum()

    bias = -np.asarray(given)[None, :, None, None] * away if made else given
    out, _, wanted = exact(q, k, v, weight, pattern.mask(n), K**-0.5, bias)
    found, gradient = jax.jit(jax.value_and_grad(total))(given)
    np.testing.assert_allclose(found, (out * np.asarray(weight)).sum(), rtol=1e-4, atol=1e-4)
    if made:
        np.testing.assert_allclose(gradient, (wanted * -away).sum((0, 2, 3)), rtol=1e-4, atol=1e-4)
    else:
        close(gradient, wanted.sum(tuple(axis for axis in (0, 1) if shape[axis] == 1), keepdims=True), 3e-6)


@flax.struct.dataclass
class Clipped:
    """A learned bias for each distance up to 13 on either side, and for all that is farther: table [h 27]."""

    table: jax.Array
    max_distance: int = flax.struct.field(pytree_node=False, default=13)

    def of_distances(self, distance):
        return self.table[:, jnp.clip(distance, -13, 13) + 13]

    def __call__(self, query, key):
        return jnp.moveaxis(self.of_distances(query[:, :, None] - key[:, None]), 0, 1)


@pytest.mark.parametrize("pattern", [causal(), bidirectional()], ids=repr)
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "padded"])
def test_a_bias_that_stops_changing_is_never_an_array_of_all_pairs(paper, monkeypatch, pattern, kind):
    monkeypatch.setattr(of_plans, "BLOCK", 16)
    n, dtype, tolerance = 144, jnp.bfloat16 if kind == "bfloat16" else jnp.float32, 3e-2 if kind == "bfloat16" else 5e-6
    q, k, v, weight = arrays(n, n, dtype)
    table = jnp.asarray(np.random.default_rng(3).normal(size=(H, 27)), jnp.float32)
    distance = np.arange(n)[:, None] - np.arange(n)
    allowed, around, sizes = np.broadcast_to(pattern.mask(n), (B, 1, n, n)), {}, []
    if kind == "padded":
        around = {"query_segments": jnp.asarray(PADDED), "key_segments": jnp.asarray(PADDED)}
        allowed = allowed & (PADDED > 0)[:, None, None] & (PADDED > 0)[:, None, :, None]

    def spy(query, key, value, bias, *rest, **options):
        sizes.append(bias.size)
        return forward(query, key, value, bias, *rest, **options)

    on_paper(monkeypatch, forward=spy)

    def total(q, k, v, table):
        out = attend(q, k, v, pattern=pattern, bias=Clipped(table), implementation="fused", **around)
        return (out.astype(jnp.float32) * weight).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))(q, k, v, table)
    bias = np.asarray(table)[None, :, np.clip(distance, -13, 13) + 13]
    wanted, wanted_gradients, d_bias = exact(q, k, v, weight, allowed, K**-0.5, bias)
    d_bias = d_bias.sum(0).reshape(H, -1)
    of_table = np.stack([np.bincount(np.clip(distance, -13, 13).ravel() + 13, row, 27) for row in d_bias])
    for found, expected in zip((out, *gradients), (wanted, *wanted_gradients, of_table)):
        close(found, expected, tolerance)
    if kind != "padded":
        assert max(sizes) == H * 128 * 128  # 16 × 16, filled up to whole tiles


def test_heads_of_their_own_and_conditions_that_no_kernel_knows(paper):
    n = 96
    q, k, v, weight = arrays(n, n)
    patterns = [causal() & local(8), causal() & strided(8)]
    out, _ = outcome("fused", q, k, v, weight, pattern=patterns)
    close(out, exact(q, k, v, weight, np.stack([p.mask(n) for p in patterns])[None], K**-0.5)[0], 3e-6)
    with pytest.raises(ValueError, match="'fused' needs a device with attention kernels"):
        attend(q, k, v, prefix=jnp.ones((B, n)), pattern=causal(), implementation="fused")
    with pytest.raises(ValueError, match="use 'auto'"):
        attend(q, k, v, dropout_rate=0.1, dropout_key=jax.random.key(0), implementation="fused")


def test_auto_takes_the_kernels_of_the_device(paper, monkeypatch):
    q, k, v, _ = arrays(64, 64)
    seen = []

    def spy(query, *rest, **kind):
        seen.append(query.shape)
        return forward(query, *rest, **kind)

    on_paper(monkeypatch, forward=spy)
    attend(q, k, v, pattern=causal())
    attend(q, k, v, pattern=causal(), implementation="tiles")
    attend(q, k, v, pattern=causal(), implementation="reference")
    assert seen == [(B, 64, H, K)]


@pytest.fixture
def trying(monkeypatch):
    """Nothing has been tried yet."""
    monkeypatch.setattr(fused, "works", functools.cache(fused.works.__wrapped__))
    monkeypatch.setattr(fused, "MOST_DOCUMENTS", 4)
    on_paper(monkeypatch)


KIND = fused.Kind(jnp.bfloat16, K, causal=True, windowed=True)


@pytest.mark.parametrize(
    "kind",
    [
        KIND,
        fused.Kind(jnp.float32, K, causal=False, windowed=False, biased=True, lengths=True),
        fused.Kind(jnp.float32, K, causal=True, windowed=False, packed=True),
    ],
)
def test_kernels_are_tried_before_they_are_used(trying, caplog, kind):
    with caplog.at_level(logging.WARNING):
        assert fused.works(cudnn, kind)
    assert not caplog.records


def test_kernels_that_do_not_work_are_not_used_and_that_is_said_once(trying, caplog, monkeypatch):
    def own_total(*args, **kind):  # a backward pass that knows of no other calls
        *first, total, out, d_out = args
        return backward(*first, forward(*first, is_training=True, **kind)[1], out, d_out, **kind)

    on_paper(monkeypatch, backward=own_total)
    with caplog.at_level(logging.WARNING):
        assert not fused.works(cudnn, KIND)
        assert not fused.works(cudnn, KIND)
    (record,) = caplog.records
    assert "the portable kernels compute such calls" in record.getMessage()
    assert "off by" in record.getMessage()

    def broken(*args, **kind):
        raise RuntimeError("no such engine")

    on_paper(monkeypatch, forward=broken)
    with caplog.at_level(logging.WARNING):
        assert not fused.works(cudnn, dataclasses.replace(KIND, windowed=False))
    assert "no such engine" in caplog.records[-1].getMessage()


def test_trying_kernels_works_while_a_program_is_traced(trying):
    found = []
    jax.jit(lambda x: found.append(fused.works(cudnn, KIND)) or x)(1.0)
    assert found == [True]


def test_a_cpu_has_none_and_imports_none():
    code = (
        "import sys, jax.numpy as jnp\n"
        "from t2t.attention import attend\n"
        "from t2t.attention.kernels import fused\n"
        "x = jnp.ones((1, 300, 1, 8), jnp.bfloat16)\n"
        "attend(x, x, x)\n"
        "print(fused.device(), [m for m in sys.modules if 'kernels.cudnn' in m or 'splash' in m])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "None []"
