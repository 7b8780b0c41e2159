"""Which query a pattern leaves nothing to see, against the mask itself; and that a model refuses it."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan import PATTERNS

from t2t.attention import Conditions, Sparse, bidirectional, causal, local, strided, summaries, where
from t2t.attention.blind import first_blind


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.integers(1, 70), st.integers(1, 70))
def test_it_is_the_first_empty_row_of_the_mask(pattern, n, m):
    empty = np.flatnonzero(~pattern.mask(n, m).any(1))
    assert first_blind(pattern, n, m) == (int(empty[0]) if len(empty) else None)


def test_keys_far_away_count():
    assert first_blind(where(lambda i, j: j == 3_000), 5, 3_001) is None
    assert first_blind(where(lambda i, j: j == 3_000), 5, 3_000) == 0
    assert first_blind(~bidirectional(), 4, 4) == 0


@pytest.mark.parametrize(
    ("pattern", "query"), [("~local(1)", 0), ("summaries(8, 2)", 0), (("~local(3)", "strided(5) & ~local(2)"), 0)]
)
def test_a_mechanism_refuses_it(pattern, query):
    q = jnp.zeros((1, 20, 2, 4))
    with pytest.raises(ValueError, match=rf"leaves query {query} of 20 nothing to see, in all heads: .* local\(1\)"):
        Sparse(pattern=pattern).apply(q, q, q, Conditions(pattern=causal()))


def test_one_head_may_be_blind_where_another_sees():
    q = jnp.ones((1, 20, 2, 4))
    out, _ = Sparse(pattern=(summaries(8, 2), local(8) & strided(1))).apply(q, q, q, Conditions(pattern=causal()))
    assert (np.asarray(out)[0, 0] == [[0.0] * 4, [1.0] * 4]).all()
