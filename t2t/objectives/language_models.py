"""Causal and prefix language modelling: what of a text is given, and what is learned."""

import numpy as np


def causal_lm(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nothing is given, all is learned: (no inputs, the tokens)."""
    return np.asarray(tokens[:0]), np.asarray(tokens)


def prefix_lm(tokens: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A text of n ≥ 2 tokens split uniformly in [1, n − 1] (Raffel et al. 2020, section 3.2.3): (prefix, rest)."""
    split = int(generator.integers(1, len(tokens)))
    return np.asarray(tokens[:split]), np.asarray(tokens[split:])
