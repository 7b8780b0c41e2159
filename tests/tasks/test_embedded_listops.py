"""ListOps: values equal the published ones, and the generator is the published one."""

import csv
import gzip

import numpy as np
import pytest

from t2t.tasks import get
from t2t.tasks.embedded import listops


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),  # Nangia & Bowman 2018, figure 1
        ("[MIN 4 7 ]", 4),
        ("[SM 6 5 9 0 ]", 0),
        ("[SM 8 5 ]", 3),
        ("[MED 1 9 5 ]", 5),
        ("[MED 1 9 ]", 5),
        ("[MED 1 2 ]", 1),  # the mean of the two in the middle, cut to an integer
        ("[MED 3 8 1 6 ]", 4),
        (
            "[MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]",
            5,
        ),  # Tay et al. 2021, section 2.2.1, with its last brackets closed
        ("( ( ( ( ( [SM 6 ) 5 ) 9 ) 0 ) ] )", 0),
    ],
)
def test_values(text, value):
    assert listops.evaluate(text) == value


def test_values_equal_the_published_ones(shared_data):
    with gzip.open(shared_data / "listops" / "part1.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert len(rows) == 4_000
    assert [listops.evaluate(text) for _, text in rows] == [int(value) for value, _ in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no ListOps expression: ''"),
        ("]", "unexpected ']'"),
        ("[MAX ]", "unexpected ']'"),
        ("[ 1 2 ]", r"unexpected '\['"),
        ("[FOO 1 ]", r"unexpected '\[FOO'"),
        ("[MAX 12 3 ]", "unexpected '12'"),
        ("[MAX 1 2", r"no ListOps expression: '\[MAX 1 2'"),
        ("5 5", "no ListOps expression: '5 5'"),
        ("[MAX 1 ² ]", "unexpected '²'"),
        ("[MAX 1 ] ]", "unexpected ']'"),
    ],
)
def test_what_is_no_expression_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        listops.evaluate(text)


def nesting(symbols) -> int:
    return max(np.cumsum([s.startswith("[") - (s == "]") for s in symbols]))


def arguments(symbols) -> list[int]:
    """How many arguments each list has."""
    stack, counts = [0], []
    for symbol in symbols:
        if symbol == "]":
            counts.append(stack.pop())
        else:
            stack[-1] += 1
            if symbol.startswith("["):
                stack.append(0)
    return counts


@pytest.mark.parametrize(
    "size", [listops.EASY, listops.Size(depth=4, arguments=5, nesting=0.25), listops.LONG_RANGE_ARENA]
)
def test_problems_keep_to_their_size(size):
    generator = np.random.default_rng(0)
    deepest, most, lengths = 0, 0, []
    for _ in range(40):
        problem = listops.problem(generator, size)
        symbols = problem["inputs"].split()[1:]
        assert problem["inputs"].startswith("listops: [")
        assert problem["targets"] == str(listops.evaluate(" ".join(symbols)))
        assert min(arguments(symbols)) >= 2
        deepest, most = max(deepest, nesting(symbols)), max(most, *arguments(symbols))
        lengths.append(len(symbols))
    assert (deepest, most) == (size.depth, size.arguments)
    assert min(lengths) >= size.shortest
    assert max(lengths) <= size.longest


def test_long_range_arena_is_as_published():
    """Expressions of more than 500 and fewer than 2000 symbols, of up to ten arguments, a quarter of which are lists;
    its greatest depth of 10 counts the digits, so lists nest nine deep."""
    published = listops.Size(depth=9, arguments=10, nesting=0.25, shortest=501, longest=1999)
    assert published == listops.LONG_RANGE_ARENA


@pytest.mark.parametrize("probability", [0.25, 0.75])
def test_the_share_of_lists_among_arguments(probability):
    size, generator = listops.Size(depth=2, arguments=10, nesting=probability, longest=10_000), np.random.default_rng(0)
    lists = total = 0
    for _ in range(600):
        symbols = listops.draw_expression(generator, size)
        lists += sum(s.startswith("[") for s in symbols) - 1
        total += arguments(symbols)[-1]  # the outermost list ends last
    assert lists / total == pytest.approx(probability, abs=0.03)


def test_all_operators_and_digits_come():
    symbols = {s for i in range(100) for s in listops.problem(np.random.default_rng(i))["inputs"].split()[1:]}
    assert symbols == {"[MIN", "[MAX", "[MED", "[SM", "]", *"0123456789"}


def test_the_stated_chance_level():
    targets = [get("listops").raw("train")[i]["targets"] for i in range(3_000)]
    counts = [targets.count(digit) / 3_000 for digit in "0123456789"]
    assert max(counts) == counts[5] == pytest.approx(0.11, abs=0.02)


@pytest.mark.parametrize("name", ["listops", "listops_lra"])
def test_the_tasks_are_judged_by_exact_match(name):
    task = get(name)
    (metric,) = task.metric_functions()
    example = task.raw("validation")[3]
    assert metric([example["targets"]] * 2, [example["targets"], "10"]) == {"exact_match": 50.0}
