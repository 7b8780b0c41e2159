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
    """A dataclass as a ConfigDict. Optional fields that are None can still be set on the command line, with their
    type."""
    hints = typing.get_type_hints(type(value))
    result = config_dict.ConfigDict()
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        item = getattr(value, field.name)
        if dataclasses.is_dataclass(item):
            item = from_dataclass(item)
        elif item is None:
            kinds = [k for k in typing.get_args(hints[field.name]) if k in (int, float, str, bool, tuple)]
            item = config_dict.placeholder(kinds[0] if len(kinds) == 1 else object)
        result[field.name] = item
    return result
