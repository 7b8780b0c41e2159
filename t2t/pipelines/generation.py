"""What all pipelines share that generate text: the arguments of generation, batches, and where a text ends."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.config import build as build_config
from t2t.data.vocabulary import EncodedText
from t2t.pipelines.batches import filled, padded, padded_length
from t2t.pipelines.pipeline import Pipeline
from t2t.pretrained.generate import DEFAULTS, NEW_TOKENS, settings_of

Arguments = dict[str, Any]  # of `Pretrained.generate_ids`


class Generation(Pipeline):
    """A model that generates. Options are those of the class, and the arguments of `Pretrained.generate_ids`:
    max_new_tokens, num_beams, do_sample and so on. Where nothing is said, that holds which config.json says of the task
    (task_specific_params), and then generation_config.json.
    """

    output = "vocabulary"

    def _options(self, options: dict[str, Any]) -> tuple[Any, Arguments]:
        """The class's own, and the arguments of generate_ids."""
        values, own = self.model.values, {field.name for field in dataclasses.fields(self.Options)}
        of_task = (values.get("task_specific_params") or {}).get(self.task) or {}
        said = {"prefix": values.get("prefix") or ""} | of_task
        said = {name: value for name, value in said.items() if name in own or name in DEFAULTS}
        given = said | self._defaults | options
        arguments = {name: value for name, value in given.items() if name not in own}
        self.settings(arguments)
        return build_config(self.Options, {n: v for n, v in given.items() if n in own}, self.task), arguments

    def settings(self, arguments: Arguments) -> dict[str, Any]:
        """Everything that decides what is generated.

        Raises:
          ConfigError: an argument that is not there.
        """
        values = self.model.values if self.model.generation is None else self.model.generation
        return settings_of(values, arguments)

    def generated(self, rows: Sequence[EncodedText], arguments: Arguments) -> list[list[list[int]]]:
        """The new ids of each row up to the end of sequence, a list for each of its sequences."""
        settings, goes_on = self.settings(arguments), self.model.config.goes_on
        results: list[Any] = [None] * len(rows)
        for number, (length, chosen) in enumerate(self.batches([self._length(len(row), settings) for row in rows])):
            given = padded([rows[i] for i in filled(chosen, self.batch_size)], length, self.pad_id, left=goes_on)
            del given["token_type_ids"]
            found = self.model.generate_ids(**given, **self.drawn(arguments, settings, number))
            found = found[:, length if goes_on else 1 :]
            found = found.reshape(len(given["input_ids"]), -1, found.shape[1])
            for place, i in enumerate(chosen):
                results[i] = [ended(ids, settings["eos_token_id"]) for ids in found[place]]
        return results

    def drawn(self, arguments: Arguments, settings: dict[str, Any], batch: int) -> Arguments:
        """The arguments, with chance of its own for each batch."""
        return arguments | ({"seed": settings["seed"] + batch} if settings["do_sample"] else {})

    def _length(self, length: int, settings: dict[str, Any]) -> int:
        """The length that a row is padded to.

        Limits of the whole length count a decoder's prompt with its padding: where there are any, only prompts of one
        length go together; likewise where padding is read like the rest.
        """
        if not self.model.config.goes_on:
            return padded_length(length, self.positions)
        if self.model.config.query_stream:
            return length
        new, whole = settings["max_new_tokens"], settings["max_length"] if settings["max_new_tokens"] is None else None
        if whole or (settings["min_length"] and settings["min_new_tokens"] is None):
            return length
        return padded_length(length, self.positions and self.positions - (NEW_TOKENS if new is None else new))


def ended(ids: np.ndarray, eos_ids: int | Sequence[int] | None) -> list[int]:
    """Ids up to the first end of sequence, without it."""
    ends = np.isin(ids, [] if eos_ids is None else eos_ids)
    return [int(i) for i in ids[: ends.argmax() if ends.any() else len(ids)]]
