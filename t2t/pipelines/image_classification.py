"""A class for an image."""

import dataclasses
from typing import Any

import numpy as np

from t2t.pipelines.batches import filled
from t2t.pipelines.images import ImageReader
from t2t.pipelines.labels import Function, best, names_of, scores
from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageClassificationOptions:
    """What a classification gives."""

    top_k: int | None = 5  # so many labels, best first; None for all
    function_to_apply: Function = "default"  # logits into scores, see `labels.scores`


class ImageClassification(Pipeline):
    """An image → a list of {"label", "score"}, best first. See `ImageReader` for what is an image."""

    Options = ImageClassificationOptions
    output = "sequence"
    reads = "images"
    architectures = ("encoder",)

    def run(self, inputs: list[Any], options: ImageClassificationOptions) -> list[list[dict[str, Any]]]:
        model, results = self.model, []
        reader = ImageReader.of(model.folder, model.config.patches.channels)
        names, problem = names_of(model.values, model.config.labels), model.values.get("problem_type")
        for _, rows in self.batches([0] * len(inputs)):
            pixels = np.stack([reader(inputs[i]) for i in rows])
            logits = np.asarray(model(pixel_values=pixels[filled([*range(len(rows))], self.batch_size)]).logits)
            found = [scores(row, options.function_to_apply, problem) for row in logits[: len(rows)]]
            results += [best(row, names, options.top_k) for row in found]
        return results
