"""What a family is to its public folders: how its config reads and is written, and how its tensors are named."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np

from t2t.errors import ConfigError
from t2t.families.rows import Row
from t2t.models import ModelConfig

Values = Mapping[str, Any]  # of a config.json


@dataclasses.dataclass(frozen=True)
class Calls:
    """How transformers' classes of a family are called, and what they return.

    Attributes:
      arguments: more arguments under transformers' names, and the features that they are.
      more: (arguments under transformers' names, the config, config.json) → features that follow from these; those that
        are given go before.
      output_names: of outputs, where transformers has a name for them that other families have not.
      positions_from_ids: whether positions count the ids that are no padding, padding having that before the first
        (RoBERTa), rather than places in the row.
      padding_sees: whether padding of an encoder looks at the text, as it does in most of transformers' models, so that
        its own states, which have a part in the losses of spans, are the same.
      last_goes_first: whether a decoder's inputs begin with the last of its targets (mBART's language).
      last_ends_row: whether the last token is what ends the row, be it padding (XLNet pads on the left).
      keeps_memory: whether `mems` are taken and given, what layers were given before.
      normed: the sides whose last hidden state is what comes after the final norm.
      problem: what labels of sequences are where config.json names no `problem_type`: None for what their type and
        number say; "probabilities" where several are those of the classes, and the logits of numbers come out as [b]
        beside a loss (DeBERTa).
    """

    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    more: Callable[[Mapping[str, np.ndarray], ModelConfig, Values], dict[str, np.ndarray]] = lambda *given: {}
    output_names: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    positions_from_ids: bool = False
    padding_sees: bool = True
    last_goes_first: bool = False
    last_ends_row: bool = False
    keeps_memory: bool = False
    normed: tuple[str, ...] = ("encoder", "decoder")
    problem: Literal["probabilities"] | None = None


@dataclasses.dataclass(frozen=True)
class Family:
    """A published family of models in Hugging Face's format.

    Attributes:
      name: `model_type` in config.json.
      read: (the values of config.json, the names of the tensors beside it) → config. The names say what the values
        leave open, such as whether logits have a matrix of their own.
      write: a config → the values of config.json that are the model's.
      rows: a config → a row for every parameter.
      classes: of transformers, with the outputs that a model of each has.
      prefix: of all tensors but those of heads, which a folder without heads leaves out.
      constants: a config → tensors that folders hold and that are no parameters here, written for other readers.
      silent: names of tensors, as a regular expression, that folders may hold and that say nothing: copies of tied
        tensors, and buffers.
      named_by: (the family, the values of config.json, the names of the tensors) → the family, with the names that
        these choose where there is a choice (DeBERTa's `legacy`).
      calls: what is particular to its classes when they are called.
    """

    name: str
    read: Callable[[Values, Collection[str]], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    rows: Callable[[ModelConfig], list[Row]]
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(hash=False)
    prefix: str = ""
    constants: Callable[[ModelConfig], dict[str, np.ndarray]] = lambda config: {}
    silent: str = "(?!)"
    named_by: Callable[["Family", Values, Collection[str]], "Family"] = lambda family, values, tensors: family
    calls: Calls = Calls()

    def says_nothing(self, tensor: str) -> bool:
        """Whether a tensor of this name may be left unread."""
        return re.fullmatch(self.silent, tensor) is not None


ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "gelu_sigmoid",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
NAMES_OF_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_new",
    "gelu_sigmoid": "quick_gelu",
    "silu": "silu",
    "tanh": "tanh",
}


def activation(values: Values, key: str, default: str) -> str:
    """The activation that config.json names.

    Raises:
      ConfigError: one that is not here.
    """
    found = values.get(key, default)
    if found not in ACTIVATIONS:
        raise ConfigError(f"config.json: {key} '{found}' is not supported; there are {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[found]


def need(values: Values, *keys: str) -> list[Any]:
    """The values of config.json under keys that a model cannot do without.

    Raises:
      ConfigError: some are not there, all told at once.
    """
    missing = [key for key in keys if key not in values]
    if missing:
        raise ConfigError(f"config.json of a '{values.get('model_type')}' lacks {', '.join(missing)}.")
    return [values[key] for key in keys]


def start_of(values: Values, key: str, default: int) -> int:
    """The id that a decoder begins with: config.json's, else that of the token under a key, else a default."""
    told = (values.get("decoder_start_token_id"), values.get(key), default)
    return next(i for i in told if i is not None)


def refuse(values: Values, **allowed: Any) -> None:
    """Raises ConfigError where config.json asks for something other than what is here."""
    for key, only in allowed.items():
        found = values.get(key, only)
        if found != only:
            raise ConfigError(f"config.json: {key} {found!r} is not supported, only {only!r}.")
