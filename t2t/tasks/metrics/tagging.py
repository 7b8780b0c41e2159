"""Metrics of tags, texts of one for each word separated by spaces, as percentages."""

from collections.abc import Sequence


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The entities of BIO tags: (first word, one after the last, type). As CoNLL's scorer has it (Tjong Kim Sang and De
    Meulder 2003, section 2.3), an I without a beginning, or of another type than the word before, begins one too."""
    found, start, kind = set(), 0, ""
    for i, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if kind and (mark != "I" or name != kind):
            found.add((start, i, kind))
            kind = ""
        if mark in ("B", "I") and not kind:
            start, kind = i, name
    return found


def entity_f1(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities, over all texts; 0 where there are none."""
    pairs = [(entities(t.split()), entities(p.split())) for t, p in zip(targets, predictions)]
    right = sum(len(t & p) for t, p in pairs)
    wanted, given = sum(len(t) for t, _ in pairs), sum(len(p) for _, p in pairs)
    return {
        "entity_precision": 100.0 * right / given if given else 0.0,
        "entity_recall": 100.0 * right / wanted if wanted else 0.0,
        "entity_f1": 200.0 * right / (wanted + given) if wanted + given else 0.0,
    }


def tag_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """The share of words whose tag is the target's."""
    pairs = [(t.split(), p.split()) for t, p in zip(targets, predictions)]
    right = sum(a == b for t, p in pairs for a, b in zip(t, p))
    return {"tag_accuracy": 100.0 * right / max(sum(len(t) for t, _ in pairs), 1)}
