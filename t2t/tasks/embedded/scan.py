"""SCAN: navigation commands into actions (Lake & Baroni 2018), all 20,910 of them from the published grammar.

C → S and S | S after S | S        S → V twice | V thrice | V
V → U | D | U opposite d | U around d | turn opposite d | turn around d        D → U d | turn d
U → walk | look | run | jump       d → left | right
"""

import functools
import importlib.resources
from collections.abc import Sequence
from typing import Any

import numpy as np

_ACTIONS = {"walk": "I_WALK", "look": "I_LOOK", "run": "I_RUN", "jump": "I_JUMP"}
_REPEATS = {"twice": 2, "thrice": 3}
JUMP_REPEATS = 1_467  # how often the bare command "jump" stands in the published training set of addprim_jump


def interpret(command: str) -> list[str]:
    """The actions of a command, by the interpretation function of the paper's supplement."""
    for word, backwards in (("and", False), ("after", True)):
        if f" {word} " in command:
            left, right = command.split(f" {word} ")
            return interpret(right) + interpret(left) if backwards else interpret(left) + interpret(right)
    words = command.split()
    times = _REPEATS.get(words[-1], 1)
    return _interpret_verb(words[:-1] if times > 1 else words) * times


def _interpret_verb(words: Sequence[str]) -> list[str]:
    verb = [] if words[0] == "turn" else [_ACTIONS[words[0]]]
    if len(words) == 1:
        return verb
    turn = ["I_TURN_LEFT" if words[-1] == "left" else "I_TURN_RIGHT"]
    manner = words[1] if len(words) == 3 else ""
    return {"": turn + verb, "opposite": turn * 2 + verb, "around": (turn + verb) * 4}[manner]


@functools.cache
def commands() -> tuple[str, ...]:
    """All commands, in the order of the grammar."""
    units = list(_ACTIONS)
    verbs = units + [
        f"{u}{manner} {d}"
        for manner in ("", " opposite", " around")
        for u in [*units, "turn"]
        for d in ("left", "right")
    ]
    phrases = [f"{v}{times}" for v in verbs for times in ("", " twice", " thrice")]
    return tuple(phrases + [f"{a} {word} {b}" for word in ("and", "after") for a in phrases for b in phrases])


@functools.cache
def simple_test() -> np.ndarray:
    """Which commands are in the test set of the published simple split, bool [20910]: it was drawn at random, so it is
    kept as one bit a command."""
    packed = importlib.resources.files(__package__).joinpath("scan_simple_test.bin").read_bytes()
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=len(commands())).astype(bool)


def split(name: str, part: str) -> list[str]:
    """The commands of a split: name "simple", "length" or "addprim_jump", part "train" or "test".

    - simple: four fifths at random to train on.
    - length: up to 22 actions to train on, more to test.
    - addprim_jump: every command with "jump" in it to test, but the bare "jump", which is repeated in training.
    """
    every = commands()
    if name == "simple":
        test = simple_test()
        return [c for c, is_test in zip(every, test) if is_test == (part == "test")]
    if name == "length":
        return [c for c in every if (len(interpret(c)) > 22) == (part == "test")]
    if part == "test":
        return [c for c in every if "jump" in c and c != "jump"]
    return [c for c in every if "jump" not in c] + ["jump"] * JUMP_REPEATS


def examples(name: str, part: str) -> list[dict[str, Any]]:
    """The examples of a split, with a prefix that names the task."""
    return [{"inputs": f"scan: {c}", "targets": " ".join(interpret(c))} for c in split(name, part)]
