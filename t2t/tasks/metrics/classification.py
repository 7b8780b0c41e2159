"""Metrics over labels: integers, of which −1 is a prediction that is no label. All are percentages but where said."""

from collections.abc import Sequence

import numpy as np


def accuracy(targets: Sequence, predictions: Sequence) -> dict[str, float]:
    """The share of predictions that equal their target."""
    return {"accuracy": 100.0 * float(np.mean([t == p for t, p in zip(targets, predictions)]))}


def f1_with_invalid(targets: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """F1 of class 1 of 2; a prediction that is neither counts as the class that its target is not (T5, GLUE's
    metrics)."""
    from sklearn.metrics import f1_score

    targets, predictions = np.asarray(targets), np.asarray(predictions)
    predictions = np.where((predictions != 0) & (predictions != 1), 1 - targets, predictions)
    return {"f1": 100.0 * float(f1_score(targets == 1, predictions == 1, zero_division=0))}


def mean_3_class_f1(targets: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """The mean of the F1 of three classes (SuperGLUE's CB)."""
    from sklearn.metrics import f1_score

    return {
        "mean_3class_f1": 100.0
        * float(f1_score(targets, predictions, labels=[0, 1, 2], average="macro", zero_division=0))
    }


def matthews(targets: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Matthews correlation, times 100 (GLUE's CoLA)."""
    from sklearn.metrics import matthews_corrcoef

    return {"matthews_corrcoef": 100.0 * float(matthews_corrcoef(targets, predictions))}


def pearson(targets: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Pearson correlation, times 100; 0 where a side is constant (STS-B)."""
    return {"pearson_corrcoef": _correlation("pearsonr", targets, predictions)}


def spearman(targets: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Spearman rank correlation, times 100; 0 where a side is constant (STS-B)."""
    return {"spearman_corrcoef": _correlation("spearmanr", targets, predictions)}


def _correlation(name: str, targets: Sequence[float], predictions: Sequence[float]) -> float:
    import scipy.stats

    if len(set(targets)) < 2 or len(set(predictions)) < 2:
        return 0.0
    return 100.0 * float(getattr(scipy.stats, name)(targets, predictions)[0])
