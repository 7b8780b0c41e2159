"""Masked language modelling: some tokens of a text are hidden, and told from what stands on both sides."""

import numpy as np


def masked_lm(
    tokens: np.ndarray,
    generator: np.random.Generator,
    mask_id: int,
    others: tuple[int, int],
    density: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """Each token is chosen with probability `density`; of the chosen 80 % become the mask, 10 % another token, and 10 %
    stay (Devlin et al. 2019, section 3.1). At least one is chosen.

    Args:
      tokens: int [n], n ≥ 1.
      others: the first id and the one after the last of those that may stand in for a token.

    Returns:
      The inputs, int32 [n], and which tokens were chosen, float32 [n] of 0 and 1.
    """
    chosen, how = generator.random(len(tokens)) < density, generator.random(len(tokens))
    another = generator.integers(*others, len(tokens))
    if not chosen.any():
        chosen[generator.integers(len(tokens))] = True
    instead = np.where(how < 0.8, mask_id, np.where(how < 0.9, another, tokens))
    return np.where(chosen, instead, tokens).astype(np.int32), chosen.astype(np.float32)
