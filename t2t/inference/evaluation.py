"""How well a model does a task: the loss of its targets, and its answers on the task's own terms."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.checkpoints.digests import write_atomically
from t2t.errors import DataError, unknown
from t2t.inference.config import DecodeConfig
from t2t.inference.label_model import LabelModel
from t2t.inference.text_model import TextModel
from t2t.inference.trained import Progress
from t2t.tasks import Task


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      task, split: of what.
      metrics: `loss` (nats a token), `perplexity`, `token_accuracy` (%), and the task's own; of consecutive segments
        `bits_per_byte`; of labels `loss` (of numbers the mean squared error) and `label_accuracy` (%).
      examples: how many; of consecutive segments how many documents, or stretches of one long text.
      predictions: a dict for each example: inputs, target, prediction.
    """

    task: str
    split: str
    metrics: dict[str, float]
    examples: int
    predictions: list[dict[str, Any]]

    def write(self, folder: pathlib.Path, step: int | None = None) -> None:
        """Writes `eval/<task>.json` and `predictions/<task>.jsonl` into a workdir."""
        # JSON has no NaN (the correlation with a constant, say): null.
        metrics = {k: v if math.isfinite(v) else None for k, v in self.metrics.items()}
        result = {"task": self.task, "split": self.split, "step": step, "examples": self.examples, **metrics}
        predictions = [json.dumps(p, ensure_ascii=False) + "\n" for p in self.predictions]
        for name, text in (
            (f"eval/{self.task}.json", json.dumps(result, indent=2) + "\n"),
            (f"predictions/{self.task}.jsonl", "".join(predictions)),
        ):
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)


def evaluate(
    model: TextModel | LabelModel,
    task: Task,
    split: str | None = None,
    *,
    decode: DecodeConfig | None = None,
    limit: int | None = None,
    data_dir: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Evaluates a model on all of a split.

    Args:
      split: the task's own choice if not given.
      decode: how to generate; the model's own if not given.
      limit: only the first so many examples.

    Raises:
      DataError: no such split, or an empty one.
    """
    split = split or task.evaluation_split
    if split not in task.splits:
        raise DataError(f"Task '{task.name}': {unknown('split', split, task.splits)}")
    if isinstance(model, LabelModel):
        return evaluate_labels(model, task, split, limit=limit, data_dir=data_dir, progress=progress)
    if model.consecutive:
        return evaluate_documents(model, task, split, limit=limit, data_dir=data_dir)
    texts, examples = task.evaluation_examples(
        split, model.vocabulary, limit=limit, data_dir=data_dir, lengths=(model.inputs_length, model.targets_length)
    )
    metrics = token_metrics(model.score_examples(examples))
    predictions: list[dict[str, Any]] = []
    if task.metrics:
        found = model.decode_examples(examples, decode or model.decode, progress)
        own, predictions = judged(task, texts, [model.vocabulary.decode(tokens[0]) for tokens, _ in found])
        metrics |= own
    return Evaluation(task.name, split, metrics, len(examples), predictions)


def judged(
    task: Task, texts: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The task's own metrics of the answers to its texts; and the predictions that `Evaluation` holds."""
    targets = [task.postprocess(t["targets"], t, True) for t in texts]
    values = [task.postprocess(a, t, False) for a, t in zip(answers, texts)]
    metrics: dict[str, float] = {}
    for function in task.metric_functions():
        metrics |= function(targets, values)
    return metrics, [{"inputs": t["inputs"], "target": t["targets"], "prediction": a} for t, a in zip(texts, answers)]


def evaluate_labels(
    model: LabelModel,
    task: Task,
    split: str,
    *,
    limit: int | None = None,
    data_dir: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """`evaluate` of a model that answers with labels, numbers, tags or spans."""
    texts = task.evaluation_texts(split, data_dir=data_dir, limit=limit)
    found = model.answers(texts, progress)
    logp, right = (np.concatenate([s[i] for _, scores in found for s in scores]) for i in (1, 2))
    metrics = {}
    if len(logp):  # hidden targets have none
        metrics["loss"] = -float(np.mean(logp, dtype=np.float64))
        metrics["label_accuracy"] = 100.0 * float(right.mean())
    own, predictions = judged(task, texts, [answer for answer, _ in found])
    return Evaluation(task.name, split, metrics | own, len(texts), predictions)


def evaluate_documents(
    model: TextModel, task: Task, split: str, *, limit: int | None = None, data_dir: str | None = None
) -> Evaluation:
    """`evaluate` by consecutive segments with the model's memory: loss and bits a byte; nothing is generated.

    Args:
      limit: only of as many documents, or as much of one long text, as make so many segments.
    """
    documents, size = task.evaluation_documents(
        split,
        model.vocabulary,
        stretches=model.batch_size,
        data_dir=data_dir,
        limit=None if limit is None else limit * model.targets_length,
    )
    scored = model.score_documents(documents)
    bits = -sum(float(np.sum(logp, dtype=np.float64)) for logp, _ in scored) / math.log(2)
    return Evaluation(task.name, split, {**token_metrics(scored), "bits_per_byte": bits / size}, len(documents), [])


def token_metrics(scored: list[tuple[np.ndarray, np.ndarray]]) -> Mapping[str, float]:
    """Mean loss, perplexity and accuracy over all counted tokens."""
    logp, right = np.concatenate([s[0] for s in scored]), np.concatenate([s[1] for s in scored])
    loss = -float(np.sum(logp, dtype=np.float64)) / max(len(logp), 1)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "token_accuracy": 100.0 * float(right.mean())}
