"""Patterns are values that compose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.attention import Dense, bidirectional, causal, local


def test_masks_one_can_check_by_eye():
    np.testing.assert_array_equal(causal().mask(3), [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(local(2).mask(4), [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])
    np.testing.assert_array_equal((causal() & local(2)).mask(3), [[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal((~causal()).mask(3), [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(bidirectional().mask(2, 3), np.ones((2, 3)))


def test_equal_patterns_are_equal_values():
    assert causal() & local(4) == causal() & local(4)
    assert hash(causal() | local(4)) == hash(causal() | local(4))
    assert causal() & local(4) != causal() & local(5)
    assert repr(causal() & ~local(4)) == "(causal() & ~local(4))"
    assert hash(Dense()) == hash(Dense())


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 8))
def test_the_algebra_is_boolean(n, m, w):
    a, b = causal(), local(w)
    np.testing.assert_array_equal((~(a & b)).mask(n, m), (~a | ~b).mask(n, m))
    np.testing.assert_array_equal((a | ~a).mask(n, m), np.ones((n, m), bool))


def test_an_impossible_window_is_refused():
    with pytest.raises(ValueError, match="expected a whole number of at least 1, found 0"):
        local(0)
