"""A published model with text in: the model of text that runs have, and the states of texts."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t.errors import DataError
from t2t.inference import LabelModel, TextModel
from t2t.inference.layout import buckets_up_to
from t2t.pretrained.generate import decode_config, settings_of

if TYPE_CHECKING:
    from t2t.pretrained.model import Pretrained

UNLIMITED = 512  # tokens of an input, where positions set no limit


def text_model(model: "Pretrained") -> TextModel:
    """The model with its tokenizer, decoding as the folder says; prompts are gone on with where there is no decoder
    beside the encoder."""
    config, alone = model.config, model.config.goes_on
    limited = config.positions in ("learned", "sinusoidal")
    longest = config.max_length if limited else UNLIMITED
    decode = decode_config(settings_of(model.generation or model.values, {}), config, 1)
    decode = dataclasses.replace(decode, num_return_sequences=None)  # `generate_all` gives all
    if alone and config.query_stream:  # how much is reused is of training by segments: a text is remembered whole
        whole = tuple(dataclasses.replace(mechanism, reuse=None) for mechanism in config.encoder_mechanisms)
        decode = dataclasses.replace(decode, attention=whole)
    new = min(decode.max_length, longest // 2) if alone else longest
    return TextModel(
        config=config,
        params=model.params,
        vocabulary=model.vocabulary,
        inputs_length=longest - new if alone else longest,
        targets_length=new,
        prefix_attention=False,
        continues=alone,
        decode=decode,
    )


def label_model(model: "Pretrained") -> LabelModel:
    """The model with its tokenizer, answering by its head, with the labels that config.json names.

    Raises:
      DataError: a family whose decoder begins with the last token of what the encoder reads (mBART).
    """
    config = model.config
    if model.family.calls.last_goes_first:
        raise DataError(
            f"{model.family.name}: its decoder begins with the last token of what its encoder reads, which `predict` "
            "does not do: give arrays, model(input_ids=…, attention_mask=…)."
        )
    names = model.values.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.labels)}
    named = not config.gives_number and config.outputs[:1] != ("spans",)
    limited = config.positions in ("learned", "sinusoidal")
    return LabelModel(
        config=config,
        params=model.params,
        vocabulary=model.vocabulary,
        inputs_length=config.max_length if limited else UNLIMITED,
        labels=tuple(names[key] for key in sorted(names, key=int)) if named else (),
    )


def states_of(model: "Pretrained", texts: Sequence[str], batch_size: int) -> list[np.ndarray]:
    """The last states of the tokens of each text, special tokens among them, float32 [n d] each: of the encoder, where
    there is one."""
    if isinstance(texts, str):
        raise DataError("encode takes a list of texts, found one text: put it in brackets.")
    encoded = [model.vocabulary.encode_for_model(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))  # of like length together
    found: list[Any] = [None] * len(texts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = max(len(encoded[i]) for i in rows)
        length = min((n for n in buckets_up_to(1 << 24) if n >= longest), default=longest)
        if model.config.positions in ("learned", "sinusoidal"):
            length = max(min(length, model.config.max_length), longest)
        states = model.states(**_padded(model, [encoded[i] for i in rows], length))
        for i, row in zip(rows, states):
            found[i] = row[: len(encoded[i])]
    return found


def _padded(model: "Pretrained", encoded: Sequence[Any], length: int) -> dict[str, np.ndarray]:
    """Encoded texts under transformers' names, padded on the right."""
    shape = (len(encoded), length)
    ids = np.full(shape, model.vocabulary.pad_id or 0, np.int32)
    mask, types = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row, text in enumerate(encoded):
        ids[row, : len(text)], types[row, : len(text)], mask[row, : len(text)] = text.ids, text.types, 1
    given = {"input_ids": ids, "attention_mask": mask}
    return given | ({"token_type_ids": types} if model.config.token_types > 1 else {})
