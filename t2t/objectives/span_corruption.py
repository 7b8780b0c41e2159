"""T5's span corruption: spans of the text are replaced by sentinels, and the targets say what stood there.

Raffel et al. 2020, section 3.1.4, exact as in its code: the mask begins with kept tokens and ends with noise, rounding
is half to even, and the targets have no sentinel at the end (the paper's figure shows one, the code makes none).
"""

from collections.abc import Callable

import numpy as np

from t2t.errors import ConfigError


def lengths(inputs_length: int, noise_density: float = 0.15, mean_span: float = 3.0) -> tuple[int, int, int]:
    """How long a raw text fills inputs of `inputs_length` tokens, the end of sequence among them.

    Returns:
      The raw length, the length of its targets with their end of sequence, and the number of spans (sentinels).
    """

    def sizes(raw):
        noise = round(raw * noise_density)
        spans = round(noise / mean_span)
        return raw - noise + spans + 1, noise + spans + 1, spans

    if sizes(2)[0] > inputs_length:
        raise ConfigError(
            f"inputs_length {inputs_length} is too short for span corruption: expected at least {sizes(2)[0]}."
        )
    raw = 2
    while sizes(raw + 1)[0] <= inputs_length:
        raw += 1
    _, targets, spans = sizes(raw)
    if noise_density == 0.5 and targets > inputs_length:
        raw, targets = raw - 1, targets - 1
    return raw, targets, spans


def noise_mask(
    length: int, generator: np.random.Generator, noise_density: float = 0.15, mean_span: float = 3.0
) -> np.ndarray:
    """Which of `length` ≥ 2 tokens are noise, bool [length]: alternating runs, of which the first is kept."""
    # In single precision as in T5: 190·0.15 rounds to 29 there, and to 28 in double precision (of `lengths`, as in T5).
    noise = min(max(round(float(np.float32(length) * np.float32(noise_density))), 1), length - 1)
    spans = min(max(round(float(np.float32(noise) / np.float32(mean_span))), 1), noise, length - noise)
    kept_runs, noise_runs = _segmentation(length - noise, spans, generator), _segmentation(noise, spans, generator)
    runs = np.stack([kept_runs, noise_runs], axis=1).reshape(-1)
    return np.repeat(np.arange(2 * spans) % 2 == 1, runs)


def _segmentation(items: int, segments: int, generator: np.random.Generator) -> np.ndarray:
    """`items` split into `segments` runs of at least 1, each split equally likely: their lengths."""
    starts = np.zeros(items, bool)
    starts[0] = True
    starts[1 + generator.permutation(items - 1)[: segments - 1]] = True
    return np.diff(np.append(np.flatnonzero(starts), items))


def replace_spans(tokens: np.ndarray, mask: np.ndarray, sentinel: Callable[[int], int]) -> np.ndarray:
    """Tokens with the i-th run of the mask replaced by `sentinel(i)`."""
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    out = np.array(tokens)
    out[starts] = [sentinel(i) for i in range(int(starts.sum()))]
    return out[~mask | starts]


def span_corruption(
    tokens: np.ndarray,
    generator: np.random.Generator,
    sentinel: Callable[[int], int],
    noise_density: float = 0.15,
    mean_span: float = 3.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a text, without their ends of sequence.

    Args:
      tokens: int [n], n ≥ 2.
      sentinel: i → the id of the i-th sentinel; it raises where there are not so many.
    """
    mask = noise_mask(len(tokens), generator, noise_density, mean_span)
    # Targets keep the noise and replace the kept runs. These come first, so both sides have as many sentinels.
    return replace_spans(tokens, mask, sentinel), replace_spans(tokens, ~mask, sentinel)
