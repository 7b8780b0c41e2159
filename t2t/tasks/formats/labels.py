"""Classification as text (Raffel et al. 2020, section 2.4 and appendix D): the label is a word, and a wrong word is
wrong."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

UNKNOWN = "<unk>"  # the target where the label is hidden


@dataclasses.dataclass(frozen=True)
class Labelled:
    """`{benchmark} {feature}: {text} …` → the label's word; and up to two texts as they are, for encoders.

    Attributes:
      benchmark: the word that begins the inputs.
      labels: the words of labels 0, 1, …
      features: in this order; all but the label and the index, sorted by name, where not given.
    """

    benchmark: str
    labels: tuple[str, ...]
    features: tuple[str, ...] = ()

    def __call__(self, example: Mapping[str, Any]) -> Mapping[str, Any]:
        features = self.features or sorted(set(example) - {"label", "idx"})
        text = " ".join([self.benchmark, *(f"{name}: {example[name]}" for name in features)])
        label = int(example["label"])
        made = {**example, "inputs": text, "targets": UNKNOWN if label == -1 else self.labels[label]}
        return made | ({"texts": [example[name] for name in features]} if len(features) <= 2 else {})


@dataclasses.dataclass(frozen=True)
class LabelIndex:
    """The postprocessor of label tasks: a word's index among the labels, −1 for any other word."""

    labels: tuple[str, ...]

    def __call__(self, text: str, example: Mapping[str, Any], is_target: bool) -> int:
        return self.labels.index(text) if text in self.labels else -1


def stsb(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """Similarity 0–5, rounded to the nearest fifth (halves to even), as a decimal: 26 classes in all but name."""
    rounded = float(np.round(np.float32(example["label"]) * np.float32(5)) / 5)
    return {
        **example,
        "inputs": f"stsb sentence1: {example['sentence1']} sentence2: {example['sentence2']}",
        "texts": [example["sentence1"], example["sentence2"]],
        "targets": f"{rounded:.1f}",
    }


def number(text: str, example: Mapping[str, Any], is_target: bool) -> float:
    """The postprocessor of STS-B: a number, −1 for what is none."""
    try:
        return float(text)
    except ValueError:
        return -1.0


def multirc(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """One answer to one question about a paragraph: True or False. Mark-up is taken out."""
    made = Labelled("multirc", ("False", "True"), ("question", "answer", "paragraph"))(example)
    return {**made, "inputs": re.sub("</?b>", "", made["inputs"].replace("<br>", " "))}


def multirc_value(text: str, example: Mapping[str, Any], is_target: bool) -> dict[str, Any]:
    """The postprocessor of MultiRC: the label, and the question by which answers are grouped."""
    idx = example["idx"]
    return {
        "value": LabelIndex(("False", "True"))(text, example, is_target),
        "group": (int(idx["paragraph"]), int(idx["question"])),
    }


def axb(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """SuperGLUE's broad diagnostics in the form of RTE: the first sentence is the premise."""
    return {
        "premise": example["sentence1"],
        "hypothesis": example["sentence2"],
        "label": example["label"],
        "idx": example["idx"],
    }
