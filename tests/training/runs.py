"""Runs so small that they train in a second: a byte-level T5 that learns to turn words around."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from t2t.data import DataConfig
from t2t.inference import DecodeConfig
from t2t.models import ModelConfig
from t2t.training import AdamW, RunConfig, ScheduleConfig, TrainConfig

MODEL = ModelConfig(
    width=16,
    heads=2,
    mlp_width=32,
    encoder_layers=1,
    decoder_layers=1,
    norm="rms",
    bias=False,
    positions="relative_bias",
    scale_attention=False,
    dropout=0.1,
    vocab_size=384,
)


def write_pairs(path: pathlib.Path, count: int = 120) -> pathlib.Path:
    """A file of words and the same words backwards."""
    generator = np.random.default_rng(5)
    words = ["".join(chr(97 + c) for c in generator.integers(0, 26, generator.integers(2, 9))) for _ in range(count)]
    path.write_text("inputs\ttargets\n" + "".join(f"{w}\t{w[::-1]}\n" for w in words), encoding="utf-8")
    return path


def run_config(folder: pathlib.Path, data: dict[str, Any] | None = None, **train: Any) -> RunConfig:
    """A run on a file in `folder`, with fields of TrainConfig (and of DataConfig in `data`) set."""
    path = folder / "pairs.tsv"
    if not path.is_file():
        write_pairs(path)
    settings = dict(
        steps=6,
        batch_size=8,
        optimizer=AdamW(),
        schedule=ScheduleConfig(decay="constant", peak=1e-2, warmup=2),
        eval_every=0,
        checkpoint_every=0,
    )
    return RunConfig(
        data=DataConfig(
            **{"train": str(path), "vocabulary": "bytes", "inputs_length": 16, "targets_length": 12} | (data or {})
        ),
        model=MODEL,
        train=TrainConfig(**settings | train),
        decode=DecodeConfig(max_length=10),
    )


def with_train(config: RunConfig, **train: Any) -> RunConfig:
    """The config with other fields of TrainConfig."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))
