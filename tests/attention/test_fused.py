"""The device's own kernels compute the same attention: plans of dense calls, their layouts, joining and gradients.

Here cuDNN's primitives are replaced by what they compute on paper; the last test runs the real ones where a GPU is.
"""

import dataclasses
import functools
import json
import logging
import re
import subprocess
import sys
import types

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cudnn_on_paper import backward, forward
from hypothesis import given, settings
from hypothesis import strategies as st
from jax._src.cudnn import fused_attention_stablehlo as stablehlo
from test_conformance import PATTERNS, B, H, K, Slope, arrays, close, exact, outcome
from test_plan import PATTERNS as ANY

from t2t.attention import attend, bidirectional, blocks, causal, fixed, global_tokens, local, strided, summaries
from t2t.attention import dense_plan as of_plans
from t2t.attention.calls import Call, whole
from t2t.attention.dense_plan import dense_plan, near_and_far
from t2t.attention.kernels import cudnn, fused, splash
from t2t.attention.packing import documents, one_document
from t2t.attention.plan import plan

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


def counted(parts, n, m):
    """How often a plan lets each pair count, [n m]."""
    times = np.zeros((n, m), int)
    for part in parts:
        query, key = part.queries.positions, part.keys.positions
        if not isinstance(part, Call):
            for tile, start in part.tiling.slices():
                i = query[tile * part.tiling.query_tile : (tile + 1) * part.tiling.query_tile]
                j = key[max(start, 0) : max(start + part.tiling.key_tile, 0)]
                i, j = i[i >= 0][:, None], j[j >= 0][None]
                times[i, j] += part.pattern.allows(i, j)
            continue
        query, key = (x.reshape(part.queries.count, -1) for x in (query, key))
        for group, (i, j) in enumerate(zip(query, key)):
            slots, key_slots = np.arange(len(i))[:, None], np.arange(len(j))
            seen = (i >= 0)[:, None] & (slots >= key_slots if part.causal else key_slots >= 0)
            if part.window is not None:
                seen &= slots - key_slots < part.window
            if part.key_lengths is not None:
                seen &= key_slots < part.key_lengths[group]
            assert (np.broadcast_to(j, seen.shape)[seen] >= 0).all()
            assert part.key_lengths is None or part.key_lengths.min() > 0
            rows, columns = np.nonzero(seen)
            np.add.at(times, (i[rows], j[columns]), 1)
    return times


@settings(max_examples=150, deadline=None)
@given(ANY | st.sampled_from(list((PATTERNS | MORE).values())), st.integers(2, 130), st.none() | st.integers(2, 130))
def test_every_pair_counts_once_and_no_other(pattern, n, m):
    m, before = n if m is None else m, of_plans.SHORTEST
    of_plans.candidates.cache_clear()
    of_plans.SHORTEST = 1
    try:
        times = counted(dense_plan(pattern, n, m, lambda call: True), n, m)
    finally:
        of_plans.SHORTEST = before
        of_plans.candidates.cache_clear()
    np.testing.assert_array_equal(times, pattern.mask(n, m).astype(int))


def test_the_named_patterns_come_down_to_dense_calls():
    """At the Sparse Transformer's setting nothing is left to the portable kernels, and nothing is computed in vain."""
    n = 12_288

    def pairs(pattern):
        parts, total = dense_plan(pattern, n, n, lambda call: True), 0
        assert all(isinstance(part, Call) for part in parts)
        for part in parts:
            rows, columns, window = part.queries.width, part.keys.width, part.window or part.keys.width
            of_group = rows * (rows + 1) // 2 - (rows - window) * (rows - window + 1) // 2
            total += part.queries.count * (of_group if part.causal else rows * columns)
        return total

    for pattern in (local(128), strided(128), local(128) | strided(128), fixed(128, 32), summaries(128, 32)):
        assert pairs(causal() & pattern) == (causal() & pattern).cost(n).pairs
    left = [p for p in dense_plan(local(256) | global_tokens(64), n, n, lambda call: True) if not isinstance(p, Call)]
    assert sum(piece.tiling.computed for piece in left) < 0.01 * (local(256) | global_tokens(64)).cost(n).pairs
    assert dense_plan(causal() & local(128), n, n, lambda call: False) == plan(causal() & local(128), n, n)


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


def test_what_rows_hold_is_found():
    one = jax.jit(one_document, static_argnames="causal")
    some = jax.jit(documents, static_argnames=("most", "aligned"))
    padded, packed, mixed = (jnp.asarray(rows) for rows in (PADDED, PACKED, MIXED))
    lengths, fits = one(padded, padded, causal=True)
    assert fits
    assert lengths.tolist() == [100, 144]
    for rows in (packed, mixed, padded[:, ::-1]):
        assert not one(rows, rows, causal=True)[1]
    assert not one(padded, 2 * padded, causal=True)[1]
    assert not one(padded, padded.at[0, 90:].set(0), causal=True)[1]  # queries behind what keys there are
    assert one(padded, padded.at[0, 90:].set(0), causal=False)[1]

    found, fits = some(packed, packed, most=4, aligned=True)
    assert fits
    assert found.query_starts.tolist() == [[0, 40, 144, 144], [9, 40, 43, 144]]
    assert found.key_lengths.tolist() == [[40, 99, 0, 0], [31, 3, 101, 0]]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 144)))
    real = (PACKED > 0)[:, None]
    np.testing.assert_array_equal(np.where(real, found.gather(found.scatter(x)), 0), np.where(real, x, 0))
    assert not some(packed, packed, most=2, aligned=True)[1]
    for rows in (mixed, packed.at[0, 143].set(1)):  # a document in two stretches
        assert not some(rows, rows, most=4, aligned=True)[1]
    shifted = jnp.stack([jnp.roll(packed[0], 1), jnp.roll(packed[1], -1)])
    assert some(packed, shifted, most=4, aligned=False)[1]
    assert not some(packed, shifted, most=4, aligned=True)[1]


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


@pytest.mark.parametrize("n", [1024, 1100])
def test_near_and_far_calls_hold_every_pair_once(n):
    for pattern in (causal(), bidirectional()):
        calls = near_and_far(pattern, n, 128)
        if calls is None:
            assert pattern == bidirectional()
            assert n % 128
            continue
        np.testing.assert_array_equal(counted(calls, n, n), pattern.mask(n).astype(int))
        assert all(call.alike and (call.queries.count > 1) != call.beyond(128) for call in calls)
    assert near_and_far(causal(), 1000, 128) is near_and_far(local(9), n, 128) is None


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


CALL = re.compile(r'custom_call @(__cudnn\$fmha\w+)\(.*? \{.*?backend_config = "(.*?)", .*?\} : (\(.*?\)) ->')


def lowered(f, *shapes):
    """The calls of cuDNN in a program for a GPU: name, parameters and types of operands."""
    text = jax.jit(f).trace(*shapes).lower(lowering_platforms=("cuda",)).as_text()
    found = []
    for name, config, operands in CALL.findall(text):
        config = json.loads(config.replace("\\22", '"'))["cudnn_fmha_backend_config"]
        found.append((name, {k: v for k, v in config.items() if k not in ("seed", "fmha_scale")}, operands))
    return found


@pytest.mark.parametrize("case", ["all", "causal", "window", "lengths", "bias"])
def test_programs_for_a_gpu_are_those_of_jax(monkeypatch, case):
    """Operands and parameters of the primitives are what `jax.nn.dot_product_attention` makes of the same."""
    monkeypatch.setattr(stablehlo, "check_cudnn_version", lambda: 91900)
    monkeypatch.setattr(stablehlo, "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(stablehlo, "is_cuda_compute_capability_equal", lambda capability: False)
    causal, window = case in ("causal", "window"), 17 if case == "window" else None
    x = jax.ShapeDtypeStruct((2, 256, 4, 64), jnp.bfloat16)
    bias, lengths = jax.ShapeDtypeStruct((1, 4, 256, 256), jnp.bfloat16), jax.ShapeDtypeStruct((2,), jnp.int32)
    more = {"lengths": [lengths], "bias": [bias]}.get(case, [])

    def ours(q, k, v, *more):
        kind = {"causal": causal, "window": window, {"lengths": "key_lengths", "bias": "bias"}.get(case): None}
        kind.pop(None, None)
        kind |= dict(zip([name for name, value in kind.items() if value is None and name != "window"], more))
        out, total = cudnn.forward(q, k, v, **kind)
        return cudnn.backward(q, k, v, out, total, out, **kind)

    def theirs(q, k, v, *more):
        kind = {"is_causal": causal, "local_window_size": None if window is None else (window - 1, 0)}
        if case == "lengths":
            kind |= {"query_seq_lengths": jnp.full_like(more[0], 256), "key_value_seq_lengths": more[0]}
        run = functools.partial(jax.nn.dot_product_attention, implementation="cudnn", **kind)
        args = (q, k, v, *more) if case == "bias" else (q, k, v)
        out, pull = jax.vjp(run, *args)
        return pull(out)

    calls = lowered(ours, x, x, x, *more)
    assert len(calls) == 2
    assert calls == lowered(theirs, x, x, x, *more)


@pytest.mark.parametrize("name", ["causal", "strided merged", "fixed"])
def test_whole_programs_lower_for_a_gpu(monkeypatch, name):
    monkeypatch.setattr(fused, "device", lambda: cudnn)
    monkeypatch.setattr(fused, "works", lambda kernels, kind: True)
    n, pattern = 1024, {**PATTERNS, "fixed": causal() & fixed(128, 32)}[name]
    x, segments = jax.ShapeDtypeStruct((2, n, 4, 64), jnp.bfloat16), jax.ShapeDtypeStruct((2, n), jnp.int32)

    def loss(q, k, v, segments):
        around = {"query_segments": segments, "key_segments": segments}
        return attend(q, k, v, pattern=pattern, implementation="fused", **around).astype(jnp.float32).sum()

    calls = [name for name, *_ in lowered(jax.grad(loss, argnums=(0, 1, 2)), x, x, x, segments)]
    forward, backward = (calls.count("__cudnn$fmhaSoftmax" + end) for end in ("", "Backward"))
    assert (forward, backward) == {"causal": (2, 2), "strided merged": (2, 2), "fixed": (4, 4)}[name]


@pytest.mark.parametrize("case", ["causal", "window", "all", "lengths"])
def test_splash_on_tpus_takes_the_whole_rows_log_sum_exp(monkeypatch, case):
    monkeypatch.setattr(splash, "INTERPRET", True)
    n, m = 150, 150 if case in ("causal", "window") else 200
    generator = np.random.default_rng(0)
    q, k, v, d_out, other = (
        jnp.asarray(generator.normal(size=(2, rows, 2, 64)), jnp.float32) for rows in (n, m, m, n, n)
    )
    other_total = jnp.asarray(generator.normal(size=(2, 2, n)), jnp.float32)
    i, j = np.arange(n)[:, None], np.arange(m)
    kind = {"causal": m == n, "window": 40 if case == "window" else None}
    allowed = np.broadcast_to((j <= i if kind["causal"] else j >= 0) & (i - j < (kind["window"] or m)), (2, 1, n, m))
    if case == "lengths":
        kind["key_lengths"] = jnp.asarray([200, 77], jnp.int32)
        allowed = allowed & (j < np.asarray([200, 77])[:, None, None, None])

    @jax.jit
    def run(q, k, v):
        out, total = splash.forward(q, k, v, **kind)
        whole, whole_total = fused._joined(out, total, other, other_total)
        return out, total, whole, whole_total, splash.backward(q, k, v, whole, whole_total, d_out, **kind)

    out, total, whole, whole_total, gradients = run(q, k, v)
    close(out, exact(q, k, v, d_out, allowed, 1.0)[0], 1e-5)
    q, k, v, d_out, whole, whole_total = (np.asarray(x, np.float64) for x in (q, k, v, d_out, whole, whole_total))
    weights = np.where(allowed, np.exp(np.einsum("bnhk,bmhk->bhnm", q, k) - whole_total[..., None]), 0.0)
    d_weights = np.einsum("bnhk,bmhk->bhnm", d_out, v) - np.einsum("bnhk,bnhk->bhn", d_out, whole)[..., None]
    d_logits = weights * d_weights
    close(gradients[0], np.einsum("bhnm,bmhk->bnhk", d_logits, k), 1e-5)
    close(gradients[1], np.einsum("bhnm,bnhk->bmhk", d_logits, q), 1e-5)
    close(gradients[2], np.einsum("bhnm,bnhk->bmhk", weights, d_out), 1e-5)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="there is no GPU: cuDNN itself is not run")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for kind, names in {
            "plain": ("bidirectional", "causal", "causal local", "local", "strided merged", "fixed"),
            "one document": ("bidirectional", "strided merged", "fixed"),
            "padded": ("bidirectional", "causal", "local", "strided merged"),
            "packed": ("bidirectional", "causal", "causal local"),
            "bias": ("bidirectional", "causal", "causal local"),
            "learned bias": ("bidirectional", "causal"),
        }.items()
        for name in names
    ],
)
def test_cudnn_itself_equals_masked_dense_attention_in_float64(name, kind):
    """Run on a GPU with `JAX_PLATFORMS=cuda`."""
    n, b = 1024, 2
    pattern = causal() & fixed(128, 32) if name == "fixed" else PATTERNS[name]
    generator = np.random.default_rng(0)
    q, k, v, weight = (jnp.asarray(generator.normal(size=(b, n, 2, 64)), jnp.bfloat16) for _ in range(4))
    segments, around, table = np.ones((b, n), int), {}, jnp.asarray(generator.normal(size=(2, 27)), jnp.float32)
    if kind == "packed":
        segments[0, :300], segments[0, 300:800], segments[0, 1000:], segments[1, 500:] = 1, 2, 0, 7
        assert fused.usable(Call(whole(n), whole(n), name != "bidirectional"), q, packed=True)
    if kind == "padded":
        segments[1, 700:] = 0
    if kind in ("one document", "packed", "padded"):
        around = {"query_segments": jnp.asarray(segments), "key_segments": jnp.asarray(segments)}
    distance = np.clip(np.arange(n)[:, None] - np.arange(n), -13, 13) + 13

    def total(q, k, v, table):
        bias = {"bias": table[None][:, :, distance], "learned bias": Clipped(table)}.get(kind)
        out = attend(q, k, v, pattern=pattern, bias=bias, implementation="fused", **around)
        return (out.astype(jnp.float32) * weight).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))(q, k, v, table)
    same = (segments[:, None, :, None] == segments[:, None, None, :]) & (segments > 0)[:, None, None, :]
    bias = np.asarray(table)[None][:, :, distance] if "bias" in kind else 0.0
    wanted, wanted_gradients, d_bias = exact(q, k, v, weight, pattern.mask(n) & same, 64**-0.5, bias)
    for found, expected in zip((out, *gradients), (wanted, *wanted_gradients)):
        close(found, expected, 3e-2)
    if "bias" in kind:
        of_table = np.stack([np.bincount(distance.ravel(), row, 27) for row in d_bias.sum(0).reshape(2, -1)])
        close(gradients[3], of_table, 3e-2)


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
