"""Windows cover a text, and each token is judged in one of them."""

import itertools

import pytest

from t2t.data.windows import most_context, windows
from t2t.errors import DataError


@pytest.mark.parametrize(("length", "size", "overlap"), [*itertools.product((0, 1, 7, 10, 11, 40), (1, 4, 10), (0, 3))])
def test_windows_cover_a_text_and_overlap(length, size, overlap):
    if overlap >= size:
        with pytest.raises(DataError, match="make the overlap smaller"):
            windows(length, size, overlap)
        return
    found = windows(length, size, overlap)
    assert set(itertools.chain(*(range(w.start, w.stop) for w in found))) == set(range(length))
    assert all(w.stop - w.start == size for w in found[:-1])
    assert all(a.stop - b.start == overlap for a, b in itertools.pairwise(found))
    assert found[-1].stop == length
    assert sum(w.stop == length for w in found) == 1  # none too many


def test_a_token_is_judged_where_most_is_around_it():
    found = windows(12, 6, 3)  # 0–6, 3–9, 6–12
    assert found == [slice(0, 6), slice(3, 9), slice(6, 12)]
    assert most_context(found, 12).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert most_context(windows(0, 6, 3), 0).tolist() == []
