"""Logits of classes as labels with scores."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

Function = Literal["default", "softmax", "sigmoid", "none"]


def names_of(values: Mapping[str, Any], count: int) -> list[str]:
    """The names of classes that a config.json gives, or LABEL_0 and so on."""
    said = values.get("id2label") or {}
    return [str(said.get(str(i), said.get(i, f"LABEL_{i}"))) for i in range(count)]


def softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(x) over its sum, float32."""
    found = np.exp((logits - logits.max(axis=axis, keepdims=True)).astype(np.float32))
    return found / found.sum(axis=axis, keepdims=True)


def scores(logits: np.ndarray, function: Function, problem: str | None) -> np.ndarray:
    """Logits [c] as scores.

    Args:
      function: "default": of a regression the number itself; of one class, or several at once, each one's probability;
        otherwise the probabilities of all.
      problem: `problem_type` in config.json.
    """
    if function == "default":
        alone = len(logits) == 1 or problem == "multi_label_classification"
        function = "none" if problem == "regression" else "sigmoid" if alone else "softmax"
    if function == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    return softmax(logits) if function == "softmax" else logits


def best(found: np.ndarray, names: list[str], count: int | None) -> list[dict[str, Any]]:
    """The labels with the `count` highest scores, all of them for None, best first."""
    order = np.argsort(-found, kind="stable")[:count]
    return [{"label": names[i], "score": float(found[i])} for i in order]
