"""How predictions are judged: functions (targets, predictions) → {name: value}, by name."""

from collections.abc import Callable, Sequence
from typing import Any

from t2t.tasks.metrics.answers import deduplicated, multirc_exact, multirc_f1, squad
from t2t.tasks.metrics.classification import accuracy, f1_with_invalid, matthews, mean_3_class_f1, pearson, spearman
from t2t.tasks.metrics.tagging import entity_f1, tag_accuracy
from t2t.tasks.metrics.text import bleu, bleu_intl, exact_match, rouge

Metric = Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "bleu": bleu,
    "bleu_intl": bleu_intl,
    "entity_f1": entity_f1,
    "exact_match": exact_match,
    "f1": f1_with_invalid,
    "matthews": matthews,
    "mean_3_class_f1": mean_3_class_f1,
    "multirc_exact": multirc_exact,
    "multirc_f1": multirc_f1,
    "pearson": pearson,
    "record": deduplicated(squad),
    "rouge": rouge,
    "spearman": spearman,
    "squad": squad,
    "tag_accuracy": tag_accuracy,
}
# Those that judge texts as they are; the others need a task's postprocessor to make labels, numbers or groups of them.
TEXT_METRICS = (
    "accuracy",
    "bleu",
    "bleu_intl",
    "entity_f1",
    "exact_match",
    "matthews",
    "rouge",
    "squad",
    "tag_accuracy",
)
