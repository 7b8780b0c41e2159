"""Translation and summarisation as text (Raffel et al. 2020, appendix D)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "ro": "Romanian"}


@dataclasses.dataclass(frozen=True)
class Translate:
    """`translate English to German: …` → the translation; source and target are language codes and columns."""

    source: str
    target: str

    def __call__(self, example: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "inputs": f"translate {LANGUAGES[self.source]} to {LANGUAGES[self.target]}: {example[self.source]}",
            "targets": example[self.target],
        }


def summarise(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """`summarize: …` → the highlights."""
    return {"inputs": f"summarize: {example['article']}", "targets": example["highlights"]}


def plain_text(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text of a document, to be turned into inputs and targets by an objective."""
    return {"inputs": "", "targets": example["text"]}
