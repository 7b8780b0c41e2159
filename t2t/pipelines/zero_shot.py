"""Classes that are named at run time: whether a text entails what a sentence says of each (Yin et al. 2019)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import EncodedText
from t2t.errors import ConfigError, DataError
from t2t.pipelines.labels import names_of, softmax
from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroShotOptions:
    """The classes, and what is said of them."""

    candidate_labels: str | tuple[str, ...] = ()  # or one text of them, with commas between
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False  # whether several may be true: each is then judged alone, against its contradiction


class ZeroShotClassification(Pipeline):
    """A text and labels → {"sequence", "labels", "scores"}, the likeliest first.

    The text is a premise, the template with a label a hypothesis, for a model of natural language inference.
    """

    Options = ZeroShotOptions
    output = "sequence"

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        names = [name.lower() for name in names_of(self.model.values, self.model.config.labels)]
        entails = [i for i, name in enumerate(names) if name.startswith("entail")]
        if not entails:
            raise ConfigError(
                f"zero-shot-classification needs a model of natural language inference, one of whose labels begins "
                f"with 'entail'; {self.model.folder} has {', '.join(names)}: name it in id2label of its config.json."
            )
        self._entails = entails[0]
        contradicts = [i for i, name in enumerate(names) if name.startswith("contra")]
        self._contradicts = contradicts[0] if contradicts else len(names) - 1 if self._entails == 0 else 0

    def __call__(self, inputs: Any, candidate_labels: str | Sequence[str] | None = None, **options: Any) -> Any:
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        return super().__call__(inputs, **options)

    def run(self, inputs: list[str], options: ZeroShotOptions) -> list[dict[str, Any]]:
        labels, template = _labels(options.candidate_labels), options.hypothesis_template
        if "{}" not in template:
            raise DataError(f"hypothesis_template: expected {{}} in it, where the label goes, found {template!r}.")
        pairs = [(text, template.replace("{}", label)) for text in inputs for label in labels]
        found = self.forward([self._row(*pair) for pair in pairs], lambda found, _: found["logits"])
        logits = np.stack(found).reshape(len(inputs), len(labels), -1)
        if options.multi_label or len(labels) == 1:
            found = softmax(logits[..., [self._contradicts, self._entails]])[..., 1]
        else:
            found = softmax(logits[..., self._entails])
        order = np.argsort(-found, axis=1, kind="stable")
        return [
            {"sequence": text, "labels": [labels[i] for i in row], "scores": [float(of_text[i]) for i in row]}
            for text, row, of_text in zip(inputs, order, found)
        ]

    def _row(self, text: str, hypothesis: str) -> EncodedText:
        """Of a pair that is too long the text is cut, not what is said of it."""
        first, second = self.tokens(text), self.tokens(hypothesis)
        if self.limit is not None:
            first = first[: max(self.limit - self.vocabulary.frame.added(pair=True) - len(second), 0)]
        return self.checked(self.vocabulary.join(first, second))


def _labels(given: str | Sequence[str]) -> list[str]:
    found = [label.strip() for label in given.split(",") if label.strip()] if isinstance(given, str) else list(given)
    if not found:
        raise DataError("zero-shot-classification: expected candidate_labels, found none.")
    return found
