"""Answers as spans of tokens: their probabilities, and the best of them."""

from collections.abc import Iterator

import numpy as np

from t2t.pipelines.labels import softmax


def probabilities(logits: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Logits [n 2] as the probabilities [2 n] that an answer starts, or ends, with each token that is `counted`, bool
    [n]: those of the context, and the one that stands for no answer."""
    return softmax(np.where(counted, logits.T, -np.inf))


def best_spans(start: np.ndarray, end: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    """(probability, first token, last token) of spans of at most `longest` tokens, best first.

    Args:
      start, end: the probabilities [n] of all tokens that may be of an answer, in their order.
    """
    n = len(start)
    length = min(longest, n)
    last = np.arange(n)[:, None] + np.arange(length)
    scores = np.where(last < n, start[:, None] * end[np.minimum(last, n - 1)], -1.0)
    for i in np.argsort(-scores, axis=None, kind="stable"):
        first, more = divmod(int(i), length)
        if scores[first, more] < 0:
            return
        yield float(scores[first, more]), first, first + more
