"""Endless generated problems with splits that cannot share one: a problem's text decides which split it is of."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

SPLITS = {"train": range(2, 20), "validation": range(0, 1), "test": range(1, 2)}  # of 20 parts


def part_of(text: str) -> int:
    """Which of 20 parts a problem belongs to, by a checksum of its text: the same on every machine and Python."""
    return zlib.crc32(text.encode()) % 20


def draw(function: Callable[[np.random.Generator], dict[str, Any]], split: str, i: int) -> dict[str, Any]:
    """Example i of a split: the first problem of that split that the generator of (split, i) draws."""
    generator = np.random.default_rng([len(split), SPLITS[split].start, i])
    while True:
        example = function(generator)
        if part_of(example["inputs"]) in SPLITS[split]:
            return example
