"""Plans of dense calls: every pair that a pattern allows counts once, and nothing is computed in vain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_conformance import PATTERNS
from test_fused import MORE
from test_plan import PATTERNS as ANY

from t2t.attention import bidirectional, causal, fixed, global_tokens, local, strided, summaries
from t2t.attention import dense_plan as of_plans
from t2t.attention.calls import Call
from t2t.attention.dense_plan import dense_plan, near_and_far
from t2t.attention.plan import plan


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
