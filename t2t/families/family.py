"""What a family is to its public folders: how its config reads and is written, and how its tensors are named."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from t2t.errors import ConfigError
from t2t.families.rows import Row
from t2t.models import ModelConfig

Values = Mapping[str, Any]  # of a config.json


@dataclasses.dataclass(frozen=True)
class Family:
    """A published family of models in Hugging Face's format.

    Attributes:
      name: `model_type` in config.json.
      read: (the values of config.json, the names of the tensors beside it) → config. The names say what the values
        leave open, such as whether logits have a matrix of their own.
      write: a config → the values of config.json that are the model's.
      rows: a config → a row for every parameter.
      prefix: of all tensors but those of heads, which a folder without heads leaves out.
      constants: a config → tensors that folders hold and that are no parameters here, written for other readers.
      silent: names of tensors, as a regular expression, that folders may hold and that say nothing: copies of tied
        tensors, and buffers.
    """

    name: str
    read: Callable[[Values, Collection[str]], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    rows: Callable[[ModelConfig], list[Row]]
    prefix: str = ""
    constants: Callable[[ModelConfig], dict[str, np.ndarray]] = lambda config: {}
    silent: str = "(?!)"

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
}
NAMES_OF_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_new",
    "gelu_sigmoid": "quick_gelu",
    "silu": "silu",
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


def refuse(values: Values, **allowed: Any) -> None:
    """Raises ConfigError where config.json asks for something other than what is here."""
    for key, only in allowed.items():
        found = values.get(key, only)
        if found != only:
            raise ConfigError(f"config.json: {key} {found!r} is not supported, only {only!r}.")
