"""transformers' names of what goes into a model, as the features that modules read."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2t.errors import DataError, unknown
from t2t.families.family import Calls, Family, Values
from t2t.models import ModelConfig
from t2t.models.inputs import feature_of

FEATURES = {
    "encoder": {
        "input_ids": "encoder_inputs",
        "attention_mask": "encoder_segments",
        "token_type_ids": "encoder_types",
        "position_ids": "encoder_positions",
    },
    "decoder": {
        "input_ids": "decoder_inputs",
        "attention_mask": "decoder_segments",
        "position_ids": "decoder_positions",
    },
    "encoder-decoder": {
        "input_ids": "encoder_inputs",
        "attention_mask": "encoder_segments",
        "decoder_input_ids": "decoder_inputs",
        "decoder_attention_mask": "decoder_segments",
    },
}
LABELS = {  # what is learned, by output
    "vocabulary": ("labels",),
    "pair": ("next_sentence_label", "sentence_order_label", "labels"),
    "replaced": ("labels",),
    "sequence": ("labels",),
    "choice": ("labels",),
    "tagging": ("labels",),
    "spans": ("start_positions", "end_positions"),
}
Features = dict[str, np.ndarray]


def features_of(
    arguments: Mapping[str, Any], config: ModelConfig, family: Family, values: Values
) -> tuple[Features, Features]:
    """Arguments under transformers' names as features, and what is to be learned, under its own names.

    Args:
      arguments: arrays; those that are None are not given. Rows of multiple choice are [b choices n].

    Raises:
      DataError: an argument that the model does not read, or one that it needs and has not.
    """
    calls, names = family.calls, _names(config) | dict(family.calls.arguments)
    given, labels = _parted(arguments, names, config, family)
    if "choice" in config.outputs:
        given = {name: value.reshape(-1, *value.shape[2:]) for name, value in given.items()}
    if config.architecture == "encoder-decoder" and "decoder_input_ids" not in given:
        given["decoder_input_ids"] = _shifted(_decoder_source(given, labels, config), values, calls)
    needed = "decoder_inputs" if config.architecture == "decoder" else feature_of(config.side("encoder"))
    if needed not in {names[name] for name in given}:
        read = next(name for name, feature in names.items() if feature == needed)
        raise DataError(f"{family.name}: expected {read}, found {', '.join(given) or 'nothing'}.")
    features = {names[name]: CONVERTED.get(name, np.asarray)(value) for name, value in given.items()}
    features = calls.more(given, config, values) | features
    features = {name: v.astype(np.int32) if v.dtype.kind in "iub" else v for name, v in features.items()}
    return _implied(given, config, calls, values, features) | features, labels


def _parted(
    arguments: Mapping[str, Any], names: Mapping[str, str], config: ModelConfig, family: Family
) -> tuple[Features, Features]:
    """The arrays that are read and those that are learned, each of a kind that can be."""
    given = {name: np.asarray(value) for name, value in arguments.items() if value is not None}
    learned = [name for output in config.outputs for name in LABELS[output]]
    for name in given:
        if name not in names and name not in learned:
            raise DataError(f"{family.name}: {unknown('argument', name, [*names, *learned])}")
    for name in ("input_ids", "decoder_input_ids"):
        if name in given and given[name].dtype.kind not in "iu":
            raise DataError(f"{name}: expected integers, found {given[name].dtype} {given[name].shape}.")
    stretched = given.pop("interpolate_pos_encoding", False)
    if "pixel_values" in given and not stretched:
        _check_size(given["pixel_values"].shape[2:], config)
    labels = {name: given.pop(name) for name in learned if name in given}
    return given, labels


def _implied(given: Features, config: ModelConfig, calls: Calls, values: Values, features: Features) -> Features:
    """What transformers takes for granted: whom padding looks at, positions, and the token that stands for the row."""
    found = {}
    if config.architecture == "encoder" and calls.padding_sees and "encoder_segments" in features:
        found["encoder_query_segments"] = np.ones_like(features["encoder_segments"])
    if calls.positions_from_ids and "input_ids" in given and "position_ids" not in given:
        real = (given["input_ids"] != values.get("pad_token_id", 1)).astype(np.int32)
        found["encoder_positions"] = (np.cumsum(real, axis=1) * real - 1).astype(np.int32)
    if config.outputs and config.pooled == "last" and "pooled_at" not in features:
        if calls.last_ends_row:
            rows = features.get("encoder_targets", features["encoder_inputs"])
            found["pooled_at"] = np.full(len(rows), rows.shape[1] - 1, np.int32)
        else:
            found |= _pooled_at(given, config, values)
    return found


def _places(mapping: np.ndarray) -> np.ndarray:
    """`target_mapping` [b p n], 1 where a prediction is of a token → that token's place [b p], −1 where there is none.

    Raises:
      DataError: another number than 0 and 1, or several tokens of one prediction, or predictions of one token.
    """
    if not (np.isin(mapping, (0, 1)).all() and mapping.sum(1).max() <= 1 and mapping.sum(2).max() <= 1):
        raise DataError(
            "target_mapping: expected one token, marked 1, for each prediction, and no token twice; found others."
        )
    return np.where(mapping.any(2), mapping.argmax(2), -1).astype(np.int32)


CONVERTED = {
    "perm_mask": lambda x: (x <= 0).astype(np.int32),
    "target_mapping": _places,
    "pixel_values": lambda x: np.moveaxis(x, 1, -1),  # channels first there
}


def _names(config: ModelConfig) -> dict[str, str]:
    names = FEATURES[config.architecture]
    if config.side("encoder").patches is None:
        return names
    images = {"pixel_values": "encoder_pixels", "interpolate_pos_encoding": ""}
    return images | {k: v for k, v in names.items() if not v.startswith("encoder_")}


def _check_size(found: tuple[int, ...], config: ModelConfig) -> None:
    expected = config.side("encoder").patches.image
    if found != expected:
        raise DataError(
            f"pixel_values: expected images of {expected}, found {found}: resize them, or let positions stretch over "
            "them, interpolate_pos_encoding=True."
        )


def _decoder_source(given: Features, labels: Features, config: ModelConfig) -> np.ndarray:
    """What the decoder reads where nothing is said: the labels, and where there are none its own input (BART)."""
    if "vocabulary" in config.outputs and "labels" in labels:
        return labels["labels"]
    if config.positions != "relative_bias" and "input_ids" in given:
        return given["input_ids"]
    raise DataError("An encoder-decoder needs decoder_input_ids, or labels to make them of: found neither.")


def _shifted(tokens: np.ndarray, values: Values, calls: Calls) -> np.ndarray:
    """Tokens one place later: after the start token, or after their own last (mBART's language)."""
    pad = values.get("pad_token_id") or 0
    tokens = np.where(tokens == -100, pad, tokens)
    if calls.last_goes_first:
        last = (tokens != pad).sum(axis=1, keepdims=True) - 1
        first = np.take_along_axis(tokens, last, axis=1)
    else:
        first = np.full((len(tokens), 1), values.get("decoder_start_token_id") or 0)
    return np.concatenate([first, tokens[:, :-1]], axis=1)


def _pooled_at(given: Features, config: ModelConfig, values: Values) -> Features:
    """The last token that is no padding, by its id, as transformers takes it; of a decoder that reads what its encoder
    does, the last end of sequence."""
    if config.architecture == "encoder-decoder":
        is_last = given["input_ids"] == values.get("eos_token_id", 2)
        if len(set(is_last.sum(axis=1))) > 1:
            raise DataError("Every row needs as many ends of sequence (eos_token_id) as the others.")
    else:
        pad = values.get("pad_token_id")
        if pad is None:
            return {}
        is_last = given["input_ids"] != pad
    n = is_last.shape[1]
    return {"pooled_at": (n - 1 - np.argmax(is_last[:, ::-1], axis=1)).astype(np.int32)}
