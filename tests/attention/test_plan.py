"""A plan computes each pair of a pattern exactly once and no other, and none of what a tile can leave out."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.attention import named
from t2t.attention.named import (
    bidirectional,
    big_bird,
    blocks,
    causal,
    dilated,
    fixed,
    global_tokens,
    local,
    prefix,
    random_blocks,
    strided,
    where,
)
from t2t.attention.order import BlockEnds, Columns, First, Order
from t2t.attention.plan import normal_form, plan, simplify, without_causality

ATOMS = st.one_of(
    st.just(causal()),
    st.just(bidirectional()),
    st.builds(local, st.integers(1, 40), st.none() | st.integers(1, 9)),
    st.builds(strided, st.integers(1, 20)),
    st.builds(blocks, st.integers(1, 40)),
    st.integers(1, 20).flatmap(lambda l: st.builds(fixed, st.just(l), st.integers(1, l))),
    st.builds(global_tokens, st.integers(1, 20)),
    st.builds(lambda seed: random_blocks(8, 2, 128, seed), st.integers(0, 3)),
    st.builds(lambda k: where(functools.partial(_every, k)), st.integers(2, 5)),
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda p: ~p),
    ),
    max_leaves=4,
)


def _every(k, i, j):
    return (i + 2 * j) % k == 0


def computed(pattern, n, m):
    """How often a plan computes each pair, [n m], and how often it lets it count."""
    touched, counted = np.zeros((n, m), int), np.zeros((n, m), int)
    for piece in plan(pattern, n, m):
        query, key = piece.queries.positions, piece.keys.positions
        for tile, start in piece.tiling.slices():
            i = query[tile * piece.tiling.query_tile : (tile + 1) * piece.tiling.query_tile]
            j = key[max(start, 0) : max(start + piece.tiling.key_tile, 0)]
            i, j = i[i >= 0][:, None], j[j >= 0][None]
            touched[i, j] += 1
            counted[i, j] += piece.pattern.allows(i, j)
    return touched, counted


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.integers(1, 130), st.none() | st.integers(1, 130))
def test_every_pair_counts_once_and_no_other(pattern, n, m):
    m = n if m is None else m
    _, counted = computed(pattern, n, m)
    np.testing.assert_array_equal(counted, pattern.mask(n, m).astype(int))


@settings(max_examples=100, deadline=None)
@given(PATTERNS, st.integers(1, 90), st.integers(0, 10**6))
def test_bounds_err_on_the_safe_side(pattern, n, seed):
    generator = np.random.default_rng(seed)
    ends = np.sort(generator.integers(0, n, (4, 2)), axis=1)
    bounds = pattern.bounds(*(np.asarray(x) for pair in ends[:2] for x in pair))
    (i, i_last), (j, j_last) = ends[:2]
    pairs = pattern.mask(n)[i : i_last + 1, j : j_last + 1]
    if bounds is not None:
        some, every = bounds
        assert some or not pairs.any()
        assert pairs.all() or not every


@settings(max_examples=100, deadline=None)
@given(PATTERNS, st.integers(1, 60))
def test_forms_of_a_pattern_are_the_same_pattern(pattern, n):
    mask = pattern.mask(n)
    terms = [functools.reduce(lambda a, b: a & b, term) for term in normal_form(pattern)]
    np.testing.assert_array_equal(functools.reduce(lambda a, b: a | b, terms).mask(n), mask)
    np.testing.assert_array_equal(pattern.expand().mask(n), mask)
    np.testing.assert_array_equal(simplify(pattern).mask(n), mask)


@pytest.mark.parametrize("order", [Columns(50, 7), First(50, 9), First(5, 9), BlockEnds(50, 8, 3), BlockEnds(55, 8, 3)])
def test_orders_lay_out_and_undo(order):
    x = np.arange(1, 2 * order.n + 1).reshape(2, order.n, 1)
    laid = np.asarray(order.lay(x))
    real = order.positions >= 0
    np.testing.assert_array_equal(laid[:, real], x[:, order.positions[real]])
    assert (laid[:, ~real] == 0).all()
    back = np.asarray(order.undo(laid))
    np.testing.assert_array_equal(back[:, order.positions[real]], x[:, order.positions[real]])
    outside = np.setdiff1d(np.arange(order.n), order.positions)
    assert (back[:, outside] == 0).all()
    assert len(order.positions) % 16 == 0
    assert len(Order(50).positions) == 64


def test_plans_find_the_geometry_of_the_named_patterns():
    """At the Sparse Transformer's setting a strided pattern touches each 128 × 128 tile of the sequence, and yet."""
    n, dense = 12_288, 12_288 * 12_289 // 2

    def cost(pattern):
        return sum(piece.tiling.computed for piece in plan(causal() & pattern, n, n))

    assert dense / cost(bidirectional()) > 0.95
    assert dense / cost(local(128)) > 30
    assert dense / cost(strided(128)) > 60
    assert dense / cost(local(128) | strided(128)) > 20
    assert dense / cost(fixed(128, 32)) > 3
    assert [type(piece.keys) for piece in plan(causal() & fixed(128, 32), n, n)] == [Order, BlockEnds]
    assert n * n / cost(global_tokens(64) | local(128)) > 15
    assert n * n / sum(p.tiling.computed for p in plan(big_bird(64, n), n, n)) > 15
    assert n * n / sum(p.tiling.computed for p in plan(dilated(64, 64), n, n)) > 15


def test_lifting_causality_keeps_the_rest():
    assert without_causality(causal() & local(4)) == local(4)
    assert without_causality(causal()) == bidirectional()
    assert without_causality(prefix(4)) == bidirectional()
    assert without_causality(local(4)) == local(4)


def test_a_plan_is_made_once():
    assert plan(causal() & local(9), 100, 100) is plan(causal() & local(9), 100, 100)
    assert named.causal() == causal()
