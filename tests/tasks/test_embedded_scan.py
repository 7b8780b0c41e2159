"""SCAN equals the published data, split by split, and the paper's examples come out right."""

import collections
import gzip

import numpy as np
import pytest

from t2t.tasks import get
from t2t.tasks.embedded import scan

SIZES = {
    ("simple", "train"): 16_728,
    ("simple", "test"): 4_182,
    ("length", "train"): 16_990,
    ("length", "test"): 3_920,
    ("addprim_jump", "train"): 14_670,
    ("addprim_jump", "test"): 7_706,
}


def published(folder, name, part) -> list[tuple[str, str]]:
    with gzip.open(folder / "scan" / f"{name}_{part}.txt.gz", "rt", encoding="utf-8") as lines:
        return [tuple(line.strip().removeprefix("IN: ").split(" OUT: ")) for line in lines]


def made(name, part) -> list[tuple[str, str]]:
    return [(e["inputs"].removeprefix("scan: "), e["targets"]) for e in scan.examples(name, part)]


# Lake & Baroni 2018, figure 1.
@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("jump", "I_JUMP"),
        ("jump left", "I_TURN_LEFT I_JUMP"),
        ("jump around right", "I_TURN_RIGHT I_JUMP I_TURN_RIGHT I_JUMP I_TURN_RIGHT I_JUMP I_TURN_RIGHT I_JUMP"),
        ("turn left twice", "I_TURN_LEFT I_TURN_LEFT"),
        ("jump thrice", "I_JUMP I_JUMP I_JUMP"),
        ("jump opposite left and walk thrice", "I_TURN_LEFT I_TURN_LEFT I_JUMP I_WALK I_WALK I_WALK"),
        (
            "jump opposite left after walk around left",
            "I_TURN_LEFT I_WALK " * 4 + "I_TURN_LEFT I_TURN_LEFT I_JUMP",
        ),
    ],
)
def test_the_papers_examples(command, actions):
    assert " ".join(scan.interpret(command)) == actions


def test_turns_without_a_verb():
    assert scan.interpret("turn opposite right") == ["I_TURN_RIGHT"] * 2
    assert scan.interpret("turn around left thrice") == ["I_TURN_LEFT"] * 12


def test_there_are_20910_commands_and_the_longest_has_48_actions():
    every = scan.commands()
    assert len(every) == len(set(every)) == 20_910
    assert max(len(scan.interpret(c)) for c in every) == 48
    assert max(len(c.split()) for c in every) == 9


@pytest.mark.parametrize(("name", "part"), list(SIZES))
def test_splits_have_the_published_sizes(name, part):
    assert len(scan.split(name, part)) == SIZES[name, part]


@pytest.mark.parametrize("name", ["simple", "length", "addprim_jump"])
def test_splits_cover_every_command_once(name):
    train, test = set(scan.split(name, "train")), set(scan.split(name, "test"))
    assert not train & test
    assert train | test == set(scan.commands())


@pytest.mark.parametrize(("name", "part"), list(SIZES))
def test_splits_equal_the_published_data(shared_data, name, part):
    assert collections.Counter(made(name, part)) == collections.Counter(published(shared_data, name, part))


def test_length_splits_by_22_actions():
    assert max(len(scan.interpret(c)) for c in scan.split("length", "train")) == 22
    assert min(len(scan.interpret(c)) for c in scan.split("length", "test")) == 24


def test_jump_is_trained_on_alone_and_repeated():
    train = scan.split("addprim_jump", "train")
    assert {c for c in train if "jump" in c} == {"jump"}
    assert train.count("jump") == 1_467
    assert all("jump" in c for c in scan.split("addprim_jump", "test"))


def test_the_simple_splits_membership_is_what_it_was():
    test = scan.simple_test()
    assert test.shape == (20_910,)
    assert test.sum() == 4_182
    assert np.flatnonzero(test)[:3].tolist() == [2, 6, 28]


def test_examples_name_the_task():
    assert scan.examples("length", "train")[0] == {"inputs": "scan: walk", "targets": "I_WALK"}


def test_the_tasks_are_evaluated_on_their_test_splits_by_exact_match():
    for name in ("simple", "length", "addprim_jump"):
        task = get(f"scan_{name}")
        assert task.splits == ("train", "test")
        assert task.evaluation_split == "test"
        (metric,) = task.metric_functions()
        examples = [task.raw("test")[i] for i in range(4)]
        targets = [e["targets"] for e in examples]
        assert metric(targets, [targets[0], targets[1], targets[2] + " I_WALK", ""]) == {"exact_match": 50.0}
        assert len(task.raw("train")) == SIZES[name, "train"]
