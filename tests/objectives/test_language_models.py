"""Causal and prefix language modelling."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.objectives import causal_lm, prefix_lm


def test_causal_lm_learns_all_and_is_given_nothing():
    tokens = np.arange(5, 12, dtype=np.int32)
    inputs, targets = causal_lm(tokens)
    assert inputs.shape == (0,)
    assert inputs.dtype == np.int32
    assert targets.tolist() == tokens.tolist()


@given(st.lists(st.integers(0, 99), min_size=2, max_size=200), st.integers(0, 2**32))
def test_prefix_and_rest_are_the_text_and_neither_is_empty(tokens, seed):
    prefix, rest = prefix_lm(np.array(tokens), np.random.default_rng(seed))
    assert [*prefix, *rest] == tokens
    assert len(prefix) >= 1
    assert len(rest) >= 1


def test_the_split_is_uniform_from_1_to_length_minus_1():
    generator = np.random.default_rng(0)
    counts = collections.Counter(len(prefix_lm(np.arange(6), generator)[0]) for _ in range(10_000))
    assert sorted(counts) == [1, 2, 3, 4, 5]
    assert all(1_850 < n < 2_150 for n in counts.values())


def test_the_same_generator_gives_the_same_split():
    assert [len(prefix_lm(np.arange(100), np.random.default_rng(s))[0]) for s in range(4)] == [85, 47, 83, 81]


def test_two_tokens_split_in_one_way():
    assert [side.tolist() for side in prefix_lm(np.array([8, 9]), np.random.default_rng(0))] == [[8], [9]]


def test_one_token_cannot_be_split():
    with pytest.raises(ValueError, match="low >= high"):
        prefix_lm(np.array([8]), np.random.default_rng(0))
