"""The base recipe, from which every config starts: a small T5 v1.1 trained on a task, or on files of the user's own.

A config file's `get_config()` returns an ml_collections ConfigDict, whose fields can be changed on the command line
(`--config.train.steps=100`). The dataclass `t2t.training.RunConfig` says what every field means.
"""

import dataclasses
import typing
from typing import Any

from ml_collections import config_dict

from t2t import families
from t2t.training import Adafactor, RunConfig, ScheduleConfig, TrainConfig

SMALL = dataclasses.replace(
    families.get("t5_v1_1_small"),
    width=256,
    heads=4,
    head_width=64,
    mlp_width=512,
    encoder_layers=4,
    decoder_layers=4,
    vocab_size=0,
)


def get_config() -> config_dict.ConfigDict:
    # T5's tables begin at a scale of 1, which AdamW's steps of equal size hardly move: Adafactor's are relative.
    train = TrainConfig(optimizer=Adafactor(), schedule=ScheduleConfig(peak=1e-2))
    return from_dataclass(RunConfig(model=SMALL, train=train))


def from_dataclass(value: Any) -> config_dict.ConfigDict:
    """A dataclass as a ConfigDict in which the command line can set everything: optional fields that are None have
    their type, and a field that takes one of several classes by name (attention, optimizer) has the fields of all."""
    hints = typing.get_type_hints(type(value))
    result = config_dict.ConfigDict()
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        item = getattr(value, field.name)
        hint = hints[field.name]
        if dataclasses.is_dataclass(item):
            item = from_dataclass(item)
            for other in typing.get_args(hint):
                _add_fields(item, other)
        elif item is None:
            item = _unset(hint)
            named = [other for other in typing.get_args(hint) if "name" in getattr(other, "__dataclass_fields__", {})]
            if named:
                item = config_dict.ConfigDict({"name": config_dict.placeholder(str)})
                for other in named:
                    _add_fields(item, other)
        result[field.name] = item
    return result


def _add_fields(config: config_dict.ConfigDict, other: Any) -> None:
    """Adds the fields of a class that might stand in a config's place, without values."""
    if dataclasses.is_dataclass(other):
        for name, hint in typing.get_type_hints(other).items():
            if name not in config and other.__dataclass_fields__[name].init:
                config[name] = _unset(hint)


def _unset(hint: Any) -> Any:
    """No value, of the type that a hint says."""
    if typing.get_origin(hint) is typing.Literal:
        return config_dict.placeholder(str)
    kinds = [k for k in (hint, *typing.get_args(hint)) if k in (int, float, str, bool)]
    return config_dict.placeholder(kinds[0] if len(kinds) == 1 else object)
