"""The states of a text's tokens."""

import dataclasses
from typing import Any

import numpy as np

from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureExtractionOptions:
    """In what form states are given."""

    return_tensors: bool = False  # NumPy's arrays instead of lists
    truncation: bool = False  # cut texts that are too long


class FeatureExtraction(Pipeline):
    """A text → its last states [1 n d], special tokens among them; of an encoder-decoder those of its encoder."""

    Options = FeatureExtractionOptions
    of_tokens = True

    def run(self, inputs: list[str], options: FeatureExtractionOptions) -> list[Any]:
        rows = [self.encode(text, truncation=options.truncation) for text in inputs]
        found = self.forward(rows, lambda found, _: found["states"][None].astype(np.float32))
        return found if options.return_tensors else [states.tolist() for states in found]

    def outputs(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"states": self.model.states(**given)}
