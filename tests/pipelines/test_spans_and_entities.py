"""Spans are the best there are, and pieces become words and entities."""

import numpy as np
import pytest

from t2t.pipelines.batches import batches, filled, padded_length, shown
from t2t.pipelines.entities import Piece, entities, words
from t2t.pipelines.spans import best_spans, probabilities


def test_the_best_spans_come_first_and_none_is_missing():
    rng = np.random.default_rng(0)
    for n, longest in ((1, 3), (5, 2), (9, 20)):
        start, end = rng.random(n), rng.random(n)
        found = list(best_spans(start, end, longest))
        expected = {(i, j): start[i] * end[j] for i in range(n) for j in range(i, min(n, i + longest))}
        assert {(i, j): score for score, i, j in found} == pytest.approx(expected)
        assert [score for score, *_ in found] == sorted(expected.values(), reverse=True)


def test_probabilities_are_of_what_counts_alone():
    logits, counted = np.array([[9.0, 1], [1, 2], [2, 1], [7, 7]]), np.array([False, True, True, False])
    found = probabilities(logits, counted)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert (found[:, ~counted] == 0).all()
    np.testing.assert_allclose(found[0, 2] / found[0, 1], np.e, rtol=1e-6)


NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def piece(token, label, chance, start, begins=True):
    scores = np.full(len(NAMES), (1 - chance) / (len(NAMES) - 1), np.float32)
    scores[NAMES.index(label)] = chance
    return Piece(token, scores, start, start + len(token.removeprefix("##")), begins)


def join(tokens):
    return " ".join(tokens).replace(" ##", "")


def test_a_beginning_ends_the_entity_before():
    found = entities(
        [
            piece("ada", "B-PER", 0.9, 0),
            piece("love", "I-PER", 0.7, 4),
            piece("##lace", "I-PER", 0.8, 8, False),
            piece("bob", "B-PER", 0.9, 13),
            piece("rome", "I-LOC", 0.9, 17),
            piece("is", "O", 0.9, 22),
            piece("rome", "I-LOC", 0.9, 25),
        ],
        NAMES,
        join,
    )
    assert [(e["entity_group"], e["word"], e["start"], e["end"]) for e in found] == [
        ("PER", "ada lovelace", 0, 12), ("PER", "bob", 13, 16), ("LOC", "rome", 17, 21), ("O", "is", 22, 24),
        ("LOC", "rome", 25, 29),
    ]  # fmt: skip
    assert found[0]["score"] == pytest.approx(0.8)


@pytest.mark.parametrize(("strategy", "label", "score"), [("first", "B-PER", 0.6), ("max", "I-LOC", 0.9)])
def test_a_word_has_the_scores_of_one_of_its_pieces(strategy, label, score):
    pieces = [piece("lo", "B-PER", 0.6, 0), piece("##ve", "I-LOC", 0.9, 2, False), piece("a", "O", 0.5, 5)]
    found = words(pieces, strategy, join)
    assert [(w.token, w.start, w.end) for w in found] == [("love", 0, 4), ("a", 5, 6)]
    assert NAMES[found[0].label] == label
    assert found[0].scores.max() == pytest.approx(score)


def test_a_word_has_the_average_of_its_pieces():
    pieces = [piece("lo", "B-PER", 0.6, 0), piece("##ve", "I-LOC", 0.9, 2, False)]
    (found,) = words(pieces, "average", join)
    np.testing.assert_allclose(found.scores, (pieces[0].scores + pieces[1].scores) / 2)


def test_few_shapes():
    assert [padded_length(n, 100) for n in (0, 1, 8, 9, 33, 65, 100, 120)] == [8, 8, 8, 16, 64, 100, 100, 120]
    assert padded_length(65, None) == 128
    assert batches([8, 16, 8, 8, 16], 2) == [(8, [0, 2]), (8, [3]), (16, [1, 4])]
    assert [len(filled([0] * n, 6)) for n in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 4, 6, 6]


def test_a_bar_shows_and_changes_nothing(capsys):
    assert list(shown(["a", "b"], [3, 4], "reading", True)) == ["a", "b"]
    assert "reading" in capsys.readouterr().err
    assert list(shown(range(9), [1] * 9, "reading", None)) == list(range(9))  # nobody looks
    assert capsys.readouterr().err == ""
