"""Masked language modelling: how much is hidden, and by what."""

import numpy as np
import pytest

from t2t.objectives import masked_lm

MASK, OTHERS = 99, (40, 60)


def test_the_shares_are_bert_s():
    tokens = np.arange(200_000) % 30 + 1  # none of which is the mask or another
    inputs, chosen = masked_lm(tokens, np.random.default_rng(0), MASK, OTHERS)
    hidden = chosen > 0
    np.testing.assert_array_equal(inputs[~hidden], tokens[~hidden])
    assert hidden.mean() == pytest.approx(0.15, abs=0.003)
    assert (inputs == MASK).sum() / hidden.sum() == pytest.approx(0.8, abs=0.01)
    another = (inputs >= OTHERS[0]) & (inputs < OTHERS[1])
    assert another.sum() / hidden.sum() == pytest.approx(0.1, abs=0.01)
    assert set(inputs[another]) == set(range(*OTHERS))
    assert (inputs[hidden] == tokens[hidden]).mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_something_is_always_hidden(seed):
    inputs, chosen = masked_lm(np.array([7, 8]), np.random.default_rng(seed), MASK, OTHERS, density=1e-9)
    assert chosen.sum() == 1
    assert (inputs.dtype, chosen.dtype) == (np.int32, np.float32)


def test_the_same_generator_hides_the_same():
    first, again = (masked_lm(np.arange(50), np.random.default_rng(3), MASK, OTHERS) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
