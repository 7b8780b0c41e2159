"""The embedded tasks as tasks: random access, the same everywhere, and no problem in two splits."""

import importlib.resources
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from t2t.tasks import get, names, tasks_of
from t2t.tasks.embedded import HELD_OUT, TRAIN, draws

GENERATED = ("integration", "integration_hard", "decompilation", "listops", "listops_lra")
SCAN = ("scan_simple", "scan_length", "scan_addprim_jump")
PREFIXES = {
    "integration": "integrate: ",
    "integration_hard": "integrate: ",
    "decompilation": "decompile: ",
    "listops": "listops: ",
    "listops_lra": "listops: ",
    **dict.fromkeys(SCAN, "scan: "),
}


def some(name, split, count) -> list[dict]:
    examples = get(name).raw(split)
    return [examples[i] for i in range(count)]


def test_all_are_registered():
    assert {*GENERATED, *SCAN, "embedded"} <= set(names())


@pytest.mark.parametrize("name", [*GENERATED, *SCAN])
def test_every_input_names_its_task(name):
    task = get(name)
    for split in task.splits:
        for example in some(name, split, 5):
            text = task.text(example, np.random.default_rng(0))
            assert text["inputs"].startswith(PREFIXES[name])
            assert text["inputs"] != PREFIXES[name]
            assert text["targets"]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_splits_have_their_sizes(name):
    task = get(name)
    assert task.splits == ("train", "validation", "test")
    assert [len(task.raw(s)) for s in task.splits] == [TRAIN, HELD_OUT, HELD_OUT]


def test_the_parts_of_the_splits_are_disjoint_and_all_there_are():
    """With the next test: no problem can be in two splits, however many are drawn."""
    parts = [part for split in draws.SPLITS.values() for part in split]
    assert sorted(parts) == list(range(20))
    assert {draws.part_of(str(i)) for i in range(2_000)} == set(range(20))


@pytest.mark.parametrize("name", [*GENERATED[:4]])
def test_every_problem_is_of_its_own_splits_parts(name):
    inputs = {split: {e["inputs"] for e in some(name, split, 500)} for split in draws.SPLITS}
    for split, texts in inputs.items():
        assert {draws.part_of(t) for t in texts} <= set(draws.SPLITS[split])
    assert not inputs["train"] & inputs["validation"]
    assert not inputs["train"] & inputs["test"]
    assert not inputs["validation"] & inputs["test"]


@pytest.mark.parametrize("name", GENERATED)
def test_any_index_in_any_order_gives_the_same_example(name):
    examples = get(name).raw("train")
    indices = [0, 999_999, 3, 123_456, 3]
    first = [examples[i] for i in indices]
    assert first == [get(name).raw("train")[i] for i in indices]
    assert first[2] == first[4]
    assert first[0] != first[1]
    for outside in (-1, TRAIN):
        with pytest.raises(IndexError):
            examples[outside]


@pytest.mark.parametrize("name", GENERATED)
def test_splits_draw_independently(name):
    starts = [some(name, split, 3) for split in draws.SPLITS]
    assert starts[0] != starts[1] != starts[2] != starts[0]


@pytest.mark.parametrize("name", [*GENERATED, *SCAN])
def test_examples_travel_to_worker_processes(name):
    task = get(name)
    source = pickle.loads(pickle.dumps(task.source))
    assert source.examples(task.splits[0])[7] == task.raw(task.splits[0])[7]


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_other_processes_give_the_same_examples(repository, hash_seed):
    code = (
        "import json; from t2t.tasks import get\n"
        f"names = {GENERATED + SCAN}\n"
        "print(json.dumps([[get(n).raw(s)[i] for s in ('train', 'test') for i in (0, 77)] for n in names]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": hash_seed, "PATH": "", "PYTHONPATH": str(repository)},
    )
    assert json.loads(out.stdout) == [
        [get(n).raw(s)[i] for s in ("train", "test") for i in (0, 77)] for n in GENERATED + SCAN
    ]


@pytest.mark.parametrize(
    ("name", "split", "inputs", "targets"),
    [
        ("integration", "train", "integrate: 9*x^2 - 2*sin(2*x)", "3*x^3 + cos(2*x)"),
        (
            "integration_hard",
            "train",
            "integrate: 16*x^3 + 20*x^3*cos(3*x) + 5*x*exp(5*x) + exp(5*x) - 15*x^4*sin(3*x)",
            "4*x^4 + 5*x^4*cos(3*x) + x*exp(5*x)",
        ),
        ("decompilation", "train", "decompile: load b dup sub dup add", "b - b + b - b"),
        ("listops", "train", "listops: [SM [MIN 5 7 4 ] [MIN 1 8 1 6 ] ]", "5"),
        ("integration", "validation", "integrate: 2*x + 5*exp(x)", "x^2 + 5*exp(x)"),
        ("decompilation", "test", "decompile: load b push 5 add load b dup add add", "b + 5 + b + b"),
    ],
)
def test_golden_examples(name, split, inputs, targets):
    """The same on every machine, Python and NumPy: a change here changes the task; name it in the changelog."""
    assert get(name).raw(split)[0] == {"inputs": inputs, "targets": targets}


def test_the_mixture_has_one_of_each_most_of_it_scan():
    assert [(task.name, share) for task, share in tasks_of(get("embedded"))] == [
        ("scan_simple", 0.6),
        ("integration", 0.15),
        ("decompilation", 0.15),
        ("listops", 0.1),
    ]


def test_the_membership_of_the_simple_split_is_in_the_package(repository):
    assert importlib.resources.files("t2t.tasks.embedded").joinpath("scan_simple_test.bin").is_file()
    assert '"**/*.bin"' in (repository / "setup.py").read_text(encoding="utf-8")
