"""Metrics of question answering, as percentages: SQuAD's normalisation, and answers that are judged in groups."""

import collections
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from t2t.tasks.metrics.classification import f1_with_invalid


def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single spaces (Rajpurkar et al. 2016, section
    6.1)."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _f1(target: str, prediction: str) -> float:
    target, prediction = target.split(), prediction.split()
    same = sum((collections.Counter(target) & collections.Counter(prediction)).values())
    return 2.0 * same / (len(target) + len(prediction)) if same else 0.0


def squad(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Exact match and token F1 after normalisation, each the best over a question's answers (or its one answer; 0
    where they are hidden). An answer "" says that there is none: both are 1 where none is given (Rajpurkar et al.
    2018)."""
    answers = ([t] if isinstance(t, str) else t for t in targets)
    pairs = [([normalise(t) if t else None for t in of_one], normalise(p)) for of_one, p in zip(answers, predictions)]

    def best(measure: Callable[[str, str], float]) -> float:
        found = [
            max((float(not p) if t is None else float(measure(t, p)) for t in answers), default=0.0)
            for answers, p in pairs
        ]
        return 100.0 * float(np.mean(found))

    return {"em": best(str.__eq__), "f1": best(_f1)}


def deduplicated(metric: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
    """A metric over values {"group", "value"} of which only the first of each group counts (ReCoRD)."""

    def of_first(targets: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        first = {}
        for t, p in zip(targets, predictions):
            first.setdefault(t["group"], (t["value"], p["value"]))
        return metric(*zip(*first.values()))

    return of_first


def multirc_f1(targets: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """F1 over all answers of all questions (MultiRC's F1a)."""
    return f1_with_invalid([t["value"] for t in targets], [p["value"] for p in predictions])


def multirc_exact(targets: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The share of questions all of whose answers are judged rightly."""
    groups: dict[Any, bool] = {}
    for t, p in zip(targets, predictions):
        groups[t["group"]] = groups.get(t["group"], True) and t["value"] == p["value"]
    return {"exact_match": 100.0 * float(np.mean(list(groups.values())))}
