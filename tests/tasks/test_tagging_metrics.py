"""F1 of entities: counted independently, and by hand."""

import re

import numpy as np
import pytest

from t2t.tasks.metrics.tagging import entities, entity_f1, tag_accuracy

KINDS = ("B-a", "I-a", "B-b", "I-b", "O")


def by_pattern(tags):
    """Entities by regular expressions on the tags as one string, a type after the other."""
    text, found = "".join(f"{t:<4}" for t in tags), set()
    for kind in {t[2:] for t in tags if t != "O"}:
        for match in re.finditer(rf"(?:B-{kind} |I-{kind} )(?:I-{kind} )*", text):
            found.add((match.start() // 4, match.end() // 4, kind))
    return found


def test_entities_equal_an_independent_count():
    generator = np.random.default_rng(0)
    for _ in range(500):
        tags = list(generator.choice(KINDS, generator.integers(1, 12)))
        assert entities(tags) == by_pattern(tags), tags


def test_by_hand():
    assert entities(["B-a", "I-a", "O", "B-b", "B-b"]) == {(0, 2, "a"), (3, 4, "b"), (4, 5, "b")}
    found = entity_f1(["B-a I-a O", "B-b O"], ["B-a O O", "B-b B-a"])
    assert found == pytest.approx({"entity_precision": 100 / 3, "entity_recall": 50.0, "entity_f1": 40.0})
    assert entity_f1(["O O"], ["O O"])["entity_f1"] == 0.0
    assert tag_accuracy(["B-a I-a O", "O"], ["B-a O O", "B-a"]) == {"tag_accuracy": 50.0}
