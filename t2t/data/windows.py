"""A text that is longer than a model reads at once, in windows that overlap."""

from collections.abc import Sequence

import numpy as np

from t2t.errors import DataError


def windows(length: int, size: int, overlap: int) -> list[slice]:
    """Windows of `size` tokens over a sequence, each with `overlap` tokens of the one before; the last may be shorter.

    Raises:
      DataError: windows that do not go forward.
    """
    if not 0 <= overlap < size:
        raise DataError(
            f"Windows of {max(size, 0)} tokens that share {overlap} go nowhere: make the overlap smaller, or the "
            "windows longer."
        )
    starts = range(0, max(length - overlap, 1), size - overlap)
    return [slice(start, min(start + size, length)) for start in starts]


def most_context(found: Sequence[slice], length: int) -> np.ndarray:
    """The number of the window, int [length], in which each token has most around it on its poorer side (Devlin et al.
    2019, in their code for SQuAD). At the ends of the text nothing is missing."""
    places = np.arange(length)
    context = np.full((len(found), length), -1)
    for row, window in zip(context, found):
        left = np.where(window.start == 0, length, places - window.start)
        right = np.where(window.stop == length, length, window.stop - 1 - places)
        inside = (places >= window.start) & (places < window.stop)
        row[inside] = np.minimum(left, right)[inside]
    return context.argmax(axis=0) if length else np.zeros(0, int)
