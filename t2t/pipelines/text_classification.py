"""A class for a text, or for a pair of texts: sentiment, paraphrase, a grade."""

import dataclasses
from typing import Any

from t2t.errors import DataError
from t2t.pipelines.labels import Function, best, names_of, scores
from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextClassificationOptions:
    """What a classification gives."""

    top_k: int | None = 0  # so many labels, best first; None for all; 0 for the best alone, not in a list
    function_to_apply: Function = "default"  # logits into scores, see `labels.scores`
    truncation: bool = False  # cut texts that are too long


class TextClassification(Pipeline):
    """A text, or {"text": …, "text_pair": …} → {"label", "score"}; with `top_k` a list of them.

    As in transformers, a text alone without `top_k` gives a list with its one label.
    """

    Options = TextClassificationOptions
    output = "sequence"

    def __call__(self, inputs: Any, **options: Any) -> Any:
        found = super().__call__(inputs, **options)
        return [found] if isinstance(inputs, str) and isinstance(found, dict) else found

    def run(self, inputs: list[Any], options: TextClassificationOptions) -> list[Any]:
        rows = [self.encode(*_texts(one), truncation=options.truncation) for one in inputs]
        names = names_of(self.model.values, self.model.config.labels)
        count = 1 if options.top_k == 0 else options.top_k
        problem = self.model.values.get("problem_type")

        def read(found, _):
            labels = best(scores(found["logits"], options.function_to_apply, problem), names, count)
            return labels[0] if options.top_k == 0 else labels

        return self.forward(rows, read)


def _texts(given: Any) -> tuple[str, str | None]:
    if not isinstance(given, dict):
        return given, None
    if not {"text"} <= given.keys() <= {"text", "text_pair"}:
        raise DataError(f"text-classification: expected the keys text and text_pair, found {', '.join(given)}.")
    return given["text"], given.get("text_pair")
