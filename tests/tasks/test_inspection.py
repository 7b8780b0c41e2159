"""A task shown: every stage of its examples, and how long they are."""

import pytest

from t2t import tasks
from t2t.data import ByteVocabulary, FunctionSource
from t2t.tasks import Mixture, Task, inspection


def shown(examples, **settings) -> list[str]:
    source = FunctionSource({"train": lambda: examples, "test": lambda: examples})
    task = Task(name="t", source=source, preprocessors=(lambda e: e if e["inputs"] else None,))
    return list(inspection.describe(task, ByteVocabulary(), **settings))


def test_an_example_is_shown_raw_as_text_as_tokens_and_decoded():
    lines = shown([{"inputs": "hé", "targets": "y\nz", "more": 7}])
    assert lines[0] == "t, split train: 1 examples (splits: train, test)"
    assert lines[1:10] == [
        "\nexample 0",
        "  raw      {'inputs': 'hé', 'targets': 'y\\nz', 'more': 7}",
        "  inputs",
        "    text     hé",
        "    tokens   [107, 198, 172, 1]",
        "    decoded  hé",
        "  targets",
        "    text     y⏎z",
        "    tokens   [124, 13, 125, 1]",
    ]


@pytest.mark.parametrize("count", [0, 2, 5])
def test_as_many_are_shown_as_were_asked_for(count):
    lines = shown([{"inputs": "a", "targets": "b"}] * 9, count=count, split="test")
    assert sum(line.startswith("\nexample") for line in lines) == count
    assert "split test" in lines[0]


def test_percentiles_of_lengths_count_the_end_of_sequence():
    lines = shown([{"inputs": "x" * n, "targets": "yy"} for n in range(1, 101)])
    columns = {line.split()[0]: [int(n) for n in line.split()[1:]] for line in lines[-3:]}
    assert columns == {"percentile": [50, 90, 99, 100], "inputs": [52, 92, 101, 101], "targets": [3, 3, 3, 3]}
    assert lines[-4] == "\nlengths in tokens with their end (100 examples)"


def test_filtered_examples_are_counted():
    lines = shown([{"inputs": "a" * (i % 2), "targets": "b"} for i in range(10)])
    assert "\nlengths in tokens with their end (5 examples, 5 more were filtered out)" in lines


def test_long_values_are_cut_and_say_so():
    lines = shown([{"inputs": "x" * 5_000, "targets": "y"}])
    assert lines[4].endswith(f"{'x' * 200}… (5,000 characters)")


def test_of_a_large_split_a_spread_sample_is_measured():
    examples = [{"inputs": "x" if i < 50_000 else "xxxx", "targets": "y"} for i in range(100_000)]
    lines = shown(examples)
    assert lines[-4] == "\nlengths in tokens with their end (1,000 examples)"
    assert [int(n) for n in lines[-2].split()[1:]][-1] == 5


def test_a_row_of_the_list_of_tasks():
    task = tasks.get("glue_mrpc_v002")
    assert inspection.row(task) == ("glue_mrpc_v002", "task", "train, validation, test", "f1, accuracy")
    assert inspection.row(tasks.get("c4_v220_prefix_lm"))[1] == "prefix_lm"
    assert inspection.row(Mixture(name="m", members=("a", task), rates=(1.0, 2.0))) == (
        "m",
        "mixture",
        "a, glue_mrpc_v002",
        "explicit rates",
    )
    assert inspection.row(Mixture(name="m", members=("a",)))[3] == "proportional"


def test_every_entry_of_the_registry_has_a_row():
    assert all(len(inspection.row(tasks.get(name))) == 4 for name in tasks.names())
