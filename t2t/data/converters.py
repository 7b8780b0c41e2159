"""Examples into the features of a batch, one converter for each architecture.

A row of a batch is a list of examples: one, or several that are packed. Segments count them from 1 (0 is padding) and
positions restart in each. Golden cases are those of seqio's feature converters.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

Example = Mapping[str, Any]
Row = Sequence[Example]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderDecoderConverter:
    """`inputs` to the encoder, `targets` to the decoder.

    Attributes:
      start_id: what the decoder reads before the targets.
    """

    inputs_length: int
    targets_length: int
    start_id: int = 0

    @property
    def limits(self) -> tuple[int, ...]:
        """The longest sequence of each side."""
        return (self.inputs_length, self.targets_length)

    def sizes(self, example: Example) -> tuple[int, ...]:
        """How much an example takes of each side."""
        return (len(example["inputs"]), len(example["targets"]))

    def trim(self, example: Example, limits: Sequence[int]) -> Example:
        """The example cut to the limits; its last token of each side, the end of sequence, is kept."""
        return {**example, "inputs": _cut(example["inputs"], limits[0]), "targets": _cut(example["targets"], limits[1])}

    def __call__(self, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        """Rows of examples → arrays [b n] of the given length of each side."""
        inputs, encoder_segments, encoder_positions = _lay_out(rows, "inputs", lengths[0])
        targets, segments, positions = _lay_out(rows, "targets", lengths[1])
        return {
            "encoder_inputs": inputs,
            "encoder_segments": encoder_segments,
            "encoder_positions": encoder_positions,
            "decoder_inputs": shift_right(targets, segments, self.start_id),
            "decoder_segments": segments,
            "decoder_positions": positions,
            "targets": targets,
            "loss_weights": (segments > 0).astype(np.float32),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConverter:
    """`inputs` and `targets` one after the other in one sequence.

    Attributes:
      loss_on_inputs: whether the inputs are learned too.
      prefix_attention: whether inputs see each other both ways (prefix LM, Raffel et al. 2020, section 3.2.1).
      start_id: what is read before the sequence; None: nothing is, and its first token is not predicted.
    """

    inputs_length: int
    targets_length: int
    loss_on_inputs: bool = False
    prefix_attention: bool = True
    start_id: int | None = 0

    @property
    def limits(self) -> tuple[int, ...]:
        return (self.inputs_length + self.targets_length,)

    def sizes(self, example: Example) -> tuple[int, ...]:
        return (max(len(self._whole(example)) - 1, 0),)

    def trim(self, example: Example, limits: Sequence[int]) -> Example:
        return _cut_whole(example, limits[0])

    def __call__(self, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        whole = [[self._whole(e) for e in row] for row in rows]
        inputs, segments, positions = _lay_out([[{"all": w[:-1]} for w in row] for row in whole], "all", lengths[0])
        targets = _lay_out([[{"all": w[1:]} for w in row] for row in whole], "all", lengths[0])[0]
        prefix = np.zeros_like(segments)  # how many targets are of the inputs
        for r, row in enumerate(rows):
            for s, example in enumerate(row, start=1):
                prefix[r, segments[r] == s] = len(example["inputs"]) - (self.start_id is None)
        weights = segments > 0 if self.loss_on_inputs else (segments > 0) & (positions >= prefix)
        batch = {
            "decoder_inputs": inputs,
            "decoder_segments": segments,
            "decoder_positions": positions,
            "targets": targets,
            "loss_weights": weights.astype(np.float32),
        }
        if self.prefix_attention:
            # Decoder inputs are shifted by one, so the prefix with the token before its first target is one longer.
            batch["decoder_prefix"] = ((segments > 0) & (prefix > 0) & (positions <= prefix)).astype(np.int32)
        return batch

    def _whole(self, example: Example) -> np.ndarray:
        """All that is read or predicted of an example."""
        start = [] if self.start_id is None else [self.start_id]
        return np.concatenate([np.asarray(start, np.int32), example["inputs"], example["targets"]])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConverter:
    """`inputs` to the encoder, `targets` as long as they are, one for each; `loss_weights` where given say which
    count."""

    inputs_length: int

    @property
    def limits(self) -> tuple[int, ...]:
        return (self.inputs_length,)

    def sizes(self, example: Example) -> tuple[int, ...]:
        return (len(example["inputs"]),)

    def trim(self, example: Example, limits: Sequence[int]) -> Example:
        return {
            **example,
            **{k: np.asarray(example[k])[: limits[0]] for k in ("inputs", "targets", "loss_weights") if k in example},
        }

    def __call__(self, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        rows = [[{**e, "loss_weights": e.get("loss_weights", np.ones(len(e["inputs"])))} for e in row] for row in rows]
        inputs, segments, positions = _lay_out(rows, "inputs", lengths[0])
        return {
            "encoder_inputs": inputs,
            "encoder_segments": segments,
            "encoder_positions": positions,
            "targets": _lay_out(rows, "targets", lengths[0])[0],
            "loss_weights": _lay_out(rows, "loss_weights", lengths[0], np.float32)[0],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskingConverter:
    """`inputs` and `targets` one after the other to an encoder, which is asked for each of the targets by a query (see
    `t2t.layers.streams`). Inputs see each other both ways; targets, and the queries that stand at their places, see
    what is before them. A target with nothing before it is not predicted."""

    inputs_length: int
    targets_length: int

    @property
    def limits(self) -> tuple[int, ...]:
        """Of all that is read, and of queries."""
        return (self.inputs_length + self.targets_length,) * 2

    def sizes(self, example: Example) -> tuple[int, ...]:
        return len(example["inputs"]) + len(example["targets"]), len(example["targets"])

    def trim(self, example: Example, limits: Sequence[int]) -> Example:
        return _cut_whole(example, limits[0])

    def __call__(self, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        whole = [[{"all": np.concatenate([e["inputs"], e["targets"]])} for e in row] for row in rows]
        inputs, segments, positions = _lay_out(whole, "all", lengths[0])
        places = np.full((len(rows), lengths[1]), -1, np.int32)
        given = np.zeros_like(segments, bool)  # which tokens are inputs
        for r, row in enumerate(rows):
            for s, example in enumerate(row, start=1):
                given[r] |= (segments[r] == s) & (positions[r] < len(example["inputs"]))
            asked = np.flatnonzero((segments[r] > 0) & ~given[r])
            places[r, : len(asked)] = asked
        there = np.maximum(places, 0)
        before = np.take_along_axis(positions, there, axis=1)
        return {
            "encoder_inputs": inputs,
            "encoder_segments": segments,
            "encoder_mask": given[:, None, :] | (positions[:, None, :] < positions[:, :, None]),
            "encoder_targets": places,
            "targets": np.take_along_axis(inputs, there, axis=1) * (places >= 0),
            "loss_weights": ((places >= 0) & (before > 0)).astype(np.float32),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConverter:
    """`inputs` to the model, one example a row; `targets` and `loss_weights` as they are, one or several of a row.

    An encoder also reads the inputs' `types`. The decoder beside an encoder reads what this does, one later (Lewis et
    al. 2020, section 3).

    Attributes:
      of_tokens: whether targets and weights are as long as the inputs, one for each token.
      start_id: what the decoder beside an encoder reads before the inputs.
    """

    inputs_length: int
    of_tokens: bool = False
    architecture: Literal["encoder", "decoder", "encoder-decoder"] = "encoder"
    start_id: int = 0

    @property
    def limits(self) -> tuple[int, ...]:
        return (self.inputs_length,)

    def sizes(self, example: Example) -> tuple[int, ...]:
        return (len(example["inputs"]),)

    def trim(self, example: Example, limits: Sequence[int]) -> Example:
        names = ("inputs", "types", *(("targets", "loss_weights") if self.of_tokens else ()))
        return {**example, **{name: _cut(example[name], limits[0]) for name in names}}

    def __call__(self, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, np.ndarray]:
        inputs, segments, positions = _lay_out(rows, "inputs", lengths[0])
        places = {"segments": segments, "positions": positions}
        batch = {
            f"{side}_{k}": v for side in self.architecture.split("-") for k, v in {"inputs": inputs, **places}.items()
        }
        if self.architecture == "encoder":
            batch["encoder_types"] = _lay_out(rows, "types", lengths[0])[0]
        if self.architecture == "encoder-decoder":
            batch["decoder_inputs"] = shift_right(inputs, segments, self.start_id)
        for name in ("targets", "loss_weights"):
            some = np.asarray(next(row[0][name] for row in rows if row))
            if self.of_tokens:
                batch[name] = _lay_out(rows, name, lengths[0], some.dtype)[0]
            else:
                batch[name] = np.stack([row[0][name] if row else np.zeros_like(some) for row in rows])
        return batch


Converter = EncoderDecoderConverter | DecoderConverter | EncoderConverter | AskingConverter | LabelConverter


def shift_right(targets: np.ndarray, segments: np.ndarray, start_id: int) -> np.ndarray:
    """What the decoder reads to predict `targets` [b n]: each segment one later, after the start id."""
    shifted = np.full_like(targets, start_id)
    shifted[:, 1:] = np.where(segments[:, 1:] == segments[:, :-1], targets[:, :-1], start_id)
    return shifted * (segments > 0)


def _cut(tokens: Sequence[int], limit: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if len(tokens) <= limit:
        return tokens
    return np.concatenate([tokens[: limit - 1], tokens[-1:]]) if limit > 0 else tokens[:0]


def _cut_whole(example: Example, limit: int) -> Example:
    """The example with inputs and targets, one after the other, cut to a limit: inputs first."""
    inputs = _cut(example["inputs"], max(limit - len(example["targets"]), 0))
    return {**example, "inputs": inputs, "targets": _cut(example["targets"], limit - len(inputs))}


def _lay_out(rows: Sequence[Row], name: str, length: int, dtype: Any = np.int32) -> tuple[np.ndarray, ...]:
    """One feature of all rows one after the other: values, segments, positions, each [b length]."""
    values = np.zeros((len(rows), length), dtype)
    segments, positions = (np.zeros((len(rows), length), np.int32) for _ in range(2))
    for r, row in enumerate(rows):
        start = 0
        for s, example in enumerate(row, start=1):
            n = len(example[name])
            values[r, start : start + n] = example[name]
            segments[r, start : start + n] = s
            positions[r, start : start + n] = np.arange(n)
            start += n
    return values, segments, positions
