"""Questions about a passage as text: SQuAD and ReCoRD (Raffel et al. 2020, appendix D)."""

import re
import string
from collections.abc import Mapping
from typing import Any

from t2t.tasks.formats.labels import UNKNOWN

_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}])")
_SPACE = re.compile(r"[\t\n\f\r ]+")  # T5's: a no-break space is none


def pad_punctuation(text: str) -> str:
    """ASCII punctuation between spaces, and all white space as single spaces."""
    return _SPACE.sub(" ", _PUNCTUATION.sub(r" \1 ", text))


def squad(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """`question: … context: …` → the first answer; all answers are kept for the metric."""
    question, context = pad_punctuation(example["question"]), pad_punctuation(example["context"])
    answers = [pad_punctuation(a) for a in example["answers"]["text"]]
    inputs = _SPACE.sub(" ", f"question: {question} context: {context}")
    return {
        "inputs": inputs,
        "targets": answers[0],
        "id": example.get("id", ""),
        "question": question,
        "context": context,
        "answers": answers,
    }


def all_answers(text: str, example: Mapping[str, Any], is_target: bool) -> Any:
    """The postprocessor of SQuAD: of a target all answers, of a prediction the text."""
    return example["answers"] if is_target else text


def record_answers(example: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A ReCoRD question as one example for each of its answers, or one without."""
    answers = list(example["answers"])
    return [{**example, "answers": answers, "answer": a} for a in answers or [UNKNOWN]]


def record(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """`record query: … entities: a, b passage: …` → one answer. Highlights become sentences of the passage."""
    passage = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", example["passage"])
    passage = passage.replace("\n@highlight\n", ". ")
    inputs = f"record query: {example['query']} entities: {', '.join(example['entities'])} passage: {passage}"
    return {**example, "inputs": inputs, "targets": example["answer"]}


def record_value(text: str, example: Mapping[str, Any], is_target: bool) -> dict[str, Any]:
    """The postprocessor of ReCoRD: the answers, and the question by which its examples are told apart."""
    idx = example["idx"]
    return {"value": example["answers"] if is_target else text, "group": (int(idx["passage"]), int(idx["query"]))}
