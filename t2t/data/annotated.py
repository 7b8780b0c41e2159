"""Annotated text in the formats of its benchmarks: tags word by word, and answers in contexts.

| format | one example is | fields |
|---|---|---|
| conll | lines of a word and its tag, up to an empty line | inputs, targets: words and tags apart by spaces |
| squad | a question of SQuAD's JSON, of any version | id, question, context, answers, answer_starts |

Of conll (CoNLL-2003, WNUT-17) the first column and the last are read; squad is also an object with the same fields on
each line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from t2t.data.lines import Lines
from t2t.errors import DataError


class Conll(Sequence[dict[str, str]]):
    """Sentences of tagged words, read into memory."""

    def __init__(self, path: str, columns: Sequence[str]):
        self.lines = Lines(path)
        self.examples = list(self._sentences())
        if not self.examples:
            raise DataError(f"{self.lines.path} holds no word: expected lines of a word and its tag.")

    def _sentences(self) -> Iterator[dict[str, str]]:
        words: list[list[str]] = []
        for i, line in enumerate([*self.lines, ""]):
            line = line.strip("\ufeff")  # a byte-order mark within, where files were joined
            cells = line.split("\t" if "\t" in line else None)
            if line.strip() and len(cells) < 2:
                raise DataError(f"{self.lines.path}, line {i + 1}: expected a word and its tag, found {line[:80]!r}.")
            if line.strip() and not cells[0].startswith("-DOCSTART-"):
                words.append([cells[0].replace(" ", "_"), cells[-1].strip()])
            elif words:
                inputs, targets = zip(*words)
                yield {"inputs": " ".join(inputs), "targets": " ".join(targets)}
                words = []

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> dict[str, str]:
        return self.examples[i]


class Squad(Sequence[dict[str, Any]]):
    """Questions with their contexts, read into memory."""

    def __init__(self, path: str, columns: Sequence[str]):
        self.lines = Lines(path)
        try:
            self.examples = list(self._questions())
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self.lines.path}: expected SQuAD's JSON, or lines of objects with question, context and answers; "
                f"{type(error).__name__} {error} does not fit it."
            ) from None
        if not self.examples:
            raise DataError(f"{self.lines.path} holds no question: add at least one.")

    def _questions(self) -> Iterator[dict[str, Any]]:
        try:
            articles = json.loads("\n".join(self.lines))["data"]
        except (json.JSONDecodeError, KeyError):
            yield from (_question(self._object(i)) for i in range(len(self.lines)))
            return
        for paragraph in (p for article in articles for p in article["paragraphs"]):
            yield from (_question({**question, "context": paragraph["context"]}) for question in paragraph["qas"])

    def _object(self, i: int) -> Mapping[str, Any]:
        try:
            return json.loads(self.lines[i])
        except json.JSONDecodeError as error:
            raise DataError(
                f"{self.lines.path}, line {i + 1}: no JSON ({error.msg} at column {error.colno}): "
                f"{self.lines[i][:80]!r}. Expected one object on each line, or SQuAD's JSON as a whole."
            ) from None

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.examples[i]


def _question(found: Mapping[str, Any]) -> dict[str, Any]:
    """Answers are a list of {text, answer_start}, or two lists."""
    answers = found["answers"]
    if isinstance(answers, Mapping):
        texts, starts = list(answers["text"]), list(answers.get("answer_start", []))
    else:
        texts, starts = [a["text"] for a in answers], [a["answer_start"] for a in answers if "answer_start" in a]
    return {
        "id": str(found.get("id", "")),
        "question": found["question"],
        "context": found["context"],
        "answers": texts,
        "answer_starts": starts,
    }
