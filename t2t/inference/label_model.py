"""A trained model that takes text and answers with a label, a number, tags, or a span of what it read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.data.loader import evaluation_batches
from t2t.errors import DataError
from t2t.inference.layout import buckets_up_to, make_converter
from t2t.inference.programs import label_batch
from t2t.inference.trained import Progress, Trained, fetch
from t2t.tasks.labelling import LABELLED, Labelling, labelling_of

Scored = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass
class LabelModel(Trained):
    """A model with its parameters and vocabulary, whose first output is one of `tasks.labelling.LABELLED`.

    Attributes:
      labels: their names, in the order of the logits; none of a number and of spans.
      stride: see `DataConfig`.

    Raises:
      DataError: a model of another kind.
    """

    labels: tuple[str, ...] = ()
    stride: int = 128

    def __post_init__(self):
        outputs = self.config.outputs
        if not outputs or outputs[0] not in LABELLED:
            raise DataError(
                f"Labels are predicted by a model whose first output is one of {', '.join(LABELLED)}, found the "
                f"outputs {outputs}."
            )

    @classmethod
    def _known(cls, run: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        data = run["data"]
        return {**super()._known(run, meta), "labels": tuple(data["labels"]), "stride": data["stride"]}

    @property
    def labelling(self) -> Labelling:
        """How texts are read and answered."""
        return labelling_of(self.config.outputs[0], self.labels, length=self.inputs_length, stride=self.stride)

    def predict(
        self, inputs: Sequence[str | Mapping[str, Any]], *, progress: Progress = lambda done, total: None
    ) -> list[str]:
        """The answer to each input: a label, a number, tags separated by spaces, or a span of the context.

        Args:
          inputs: texts (for tags, words separated by spaces; for spans, "question: … context: …"); or mappings with
            `texts`, one or two of them, or with `question` and `context`.
          progress: told how many are done.
        """
        if isinstance(inputs, str):
            raise DataError("predict takes a list of texts, found one text: put it in brackets.")
        prefix = "" if self.config.outputs[0] == "spans" else self.prefix
        texts = [{"inputs": prefix + text} if isinstance(text, str) else text for text in inputs]
        return [answer for answer, _ in self.answers(texts, progress)]

    def answers(
        self, texts: Sequence[Mapping[str, Any]], progress: Progress = lambda done, total: None
    ) -> list[tuple[str, list[Scored]]]:
        """The answer to each text of a task, and what `score_examples` gives of its examples."""
        labelling, found = self.labelling, []
        examples = [labelling.examples(text, self.vocabulary, False) for text in texts]
        scored = iter(self.score_examples([e for of_text in examples for e in of_text], progress))
        for text, of_text in zip(texts, examples):
            scores = [next(scored) for _ in of_text]
            found.append((labelling.answer([logits for logits, _, _ in scores], of_text, text), scores))
        return found

    def score_examples(
        self, examples: Sequence[Mapping[str, Any]], progress: Progress = lambda done, total: None
    ) -> list[Scored]:
        """Of tokenised examples the logits, [c], [n c] or [2 n]; and of the targets that count their log-probabilities,
        and whether each is the likeliest label."""
        converter, kind = make_converter(self.config, self.inputs_length, 0, False), self.config.outputs[0]
        module, results, done = self.module, [None] * len(examples), 0
        segments = "decoder_segments" if self.config.architecture == "decoder" else "encoder_segments"
        for batch, indices in evaluation_batches(
            examples,
            converter,
            batch_size=self._rows(len(examples)),
            buckets=buckets_up_to(self.inputs_length),
            on_too_long=lambda count: self.report(
                f"{count} examples are longer than {self.inputs_length} tokens and were cut."
            ),
        ):
            logits, logp, right = fetch(label_batch(self.params, self.place(batch), model=module))
            lengths = (batch[segments] > 0).sum(axis=1)
            for row, i in enumerate(indices):
                own = {"sequence": logits[row], "tagging": logits[row][: lengths[row]]}
                counted = np.atleast_1d(batch["loss_weights"][row] > 0)
                results[i] = (
                    own.get(kind, logits[row][..., : lengths[row]]),
                    np.atleast_1d(logp[row])[counted],
                    np.atleast_1d(right[row])[counted],
                )
            done += len(indices)
            progress(done, len(examples))
        return results
