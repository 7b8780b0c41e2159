"""The tokens that a masked one may have been (Devlin et al. 2019)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.data.vocabulary import EncodedText
from t2t.errors import ConfigError, DataError
from t2t.pipelines.labels import softmax
from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillMaskOptions:
    """What is given for a mask."""

    top_k: int = 5
    targets: str | tuple[str, ...] | None = None  # only among these tokens; of a text of several, the first
    truncation: bool = False  # cut texts that are too long

    def __post_init__(self):
        if self.top_k < 1:
            raise ConfigError(f"top_k: expected at least 1, found {self.top_k}.")


class FillMask(Pipeline):
    """A text with masks → a list of {"score", "token", "token_str", "sequence"}, best first; of several masks a list of
    such lists, each mask alone: the others stand in its sequences."""

    Options = FillMaskOptions
    output = "vocabulary"
    of_tokens = True
    architectures = ("encoder", "encoder-decoder")

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        if self.vocabulary.mask_id is None:
            raise ConfigError(
                f"fill-mask needs a tokenizer with a mask, and that of {self.model.folder} has none: name it as "
                "mask_token in its tokenizer_config.json, or take a model that learned to fill masks."
            )

    def run(self, inputs: list[str], options: FillMaskOptions) -> list[Any]:
        rows = [self.encode(text, truncation=options.truncation) for text in inputs]
        masks = [np.flatnonzero(np.array(row.ids) == self.vocabulary.mask_id) for row in rows]
        for text, found in zip(inputs, masks):
            if not len(found):
                mask = self.vocabulary.named["mask"]
                raise DataError(f"fill-mask: expected {mask} in every text, found none in {text!r}.")
        targets = None if options.targets is None else self._ids(options.targets)

        def read(found, i):
            logits = found.get("prediction_logits", found.get("logits"))  # the former beside other outputs
            chances = zip(masks[i], softmax(logits[masks[i]]))
            filled = [self._filled(rows[i], mask, len(masks[i]), row, targets, options) for mask, row in chances]
            return filled[0] if len(filled) == 1 else filled

        return self.forward(rows, read)

    def _filled(
        self,
        row: EncodedText,
        mask: int,
        masks: int,
        chances: np.ndarray,
        targets: Sequence[int] | None,
        options: FillMaskOptions,
    ) -> list[dict[str, Any]]:
        allowed = np.arange(len(chances)) if targets is None else np.array(targets)
        order = allowed[np.argsort(-chances[allowed], kind="stable")[: options.top_k]]
        return [
            {
                "score": float(chances[token]),
                "token": int(token),
                "token_str": self.vocabulary.spell([int(token)]),
                "sequence": self._sequence(row.ids, mask, int(token), special=masks > 1),
            }
            for token in order
        ]

    def _sequence(self, ids: Sequence[int], mask: int, token: int, *, special: bool) -> str:
        ids = [*ids[:mask], token, *ids[mask + 1 :]]
        return self.vocabulary.spell([i for i in ids if i != self.vocabulary.pad_id], special=special)

    def _ids(self, targets: str | Sequence[str]) -> list[int]:
        found = []
        for target in [targets] if isinstance(targets, str) else targets:
            i = self.vocabulary.id_of(target)
            ids = self.vocabulary.encode(target) if i is None else [i]
            if not ids:
                raise DataError(f"fill-mask: the target {target!r} has no tokens.")
            found.append(ids[0])
        return sorted(set(found))
