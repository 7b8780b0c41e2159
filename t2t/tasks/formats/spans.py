"""Questions whose answers are spans of a context, as text that is not changed, so that positions in it hold."""

from collections.abc import Mapping
from typing import Any


def extractive(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """`question: … context: …` → the first answer, "" where there is none; all fields are kept."""
    inputs = f"question: {example['question']} context: {example['context']}"
    return {**example, "inputs": inputs, "targets": example["answers"][0] if example["answers"] else ""}


def any_answer(text: str, example: Mapping[str, Any], is_target: bool) -> Any:
    """The postprocessor: of a target all answers, of which "" is the only one where there is none."""
    return (list(example["answers"]) or [""]) if is_target else text
