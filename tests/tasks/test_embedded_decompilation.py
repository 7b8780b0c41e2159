"""Decompilation: code and expression agree, equivalent expressions are accepted, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.tasks import get
from t2t.tasks.embedded import decompilation, expressions

CODE = "decompile: load a load b sub push 3 mul"  # (a - b) * 3


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("push 7", 7),
        ("load b", 5),
        ("push 7 neg", -7),
        ("load a load b add", 7),
        ("load a load b sub", -3),
        ("load a load b swap sub", 3),
        ("load b dup mul", 25),
        ("load a dup load b swap mul add", 12),
        ("push 10 push 4 push 3 sub sub", 9),
    ],
)
def test_the_machine(code, value):
    assert decompilation.execute(code, {"a": 2, "b": 5, "c": 0}) == value


@pytest.mark.parametrize("code", ["", "add", "push 1 push 2", "load a dup"])
def test_code_that_does_not_leave_one_value_is_an_error(code):
    with pytest.raises((ValueError, IndexError)):
        decompilation.execute(code, {"a": 2})


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 5])
def test_code_and_text_of_an_expression_have_its_value(depth):
    for seed in range(150):
        generator = np.random.default_rng(seed)
        tree = decompilation.draw_expression(generator, depth)
        code, text = " ".join(decompilation.compile_expression(tree, generator)), decompilation.render(tree)
        values = dict(zip("abc", np.random.default_rng(seed + 1).integers(-9, 10, 3).tolist()))
        expected = eval(text, {}, values)  # our own text, by Python's rules: an independent reading
        assert decompilation.execute(code, values) == expected, (code, text)
        assert expressions.evaluate(expressions.parse(text, ("a", "b", "c")), values) == expected, text


@pytest.mark.parametrize(
    ("text", "brackets"),
    [
        ("a - (b - c)", True),
        ("(a - b) - c", False),
        ("a * (b + c)", True),
        ("(a * b) + c", False),
        ("-(a + b)", True),
        ("a - (-b)", False),
        ("a * (b * c)", False),
        ("(-a) * b", False),
    ],
)
def test_text_has_no_more_brackets_than_it_needs(text, brackets):
    tree = expressions.parse(text, ("a", "b", "c"))
    out = decompilation.render(tree)
    assert ("(" in out) == brackets
    values = {"a": 3, "b": -7, "c": 11}
    assert expressions.evaluate(expressions.parse(out, ("a", "b", "c")), values) == expressions.evaluate(tree, values)


def test_equal_operands_are_duplicated_and_some_are_swapped():
    words = [decompilation.problem(np.random.default_rng(i))["inputs"].split()[1:] for i in range(300)]
    assert all(any(op in w for w in words) for op in ("push", "load", "add", "sub", "mul", "neg", "dup", "swap"))
    assert decompilation.compile_expression(("*", ("variable", "a"), ("variable", "a")), np.random.default_rng(0)) == [
        "load a",
        "dup",
        "mul",
    ]


def test_the_verifier_accepts_every_target_and_hardly_any_other():
    problems = [decompilation.problem(np.random.default_rng(i)) for i in range(200)]
    assert all(decompilation.verify(p["inputs"], p["targets"]) for p in problems)
    wrong = [decompilation.verify(p["inputs"], q["targets"]) for p, q in zip(problems, problems[1:])]
    assert sum(wrong) <= 4  # chance: a few problems have the same value, such as 0


@pytest.mark.parametrize(
    "answer",
    [
        "(a - b) * 3",
        "3*(a-b)",
        "3 * a - 3 * b",
        "-(b - a) * 3",
        " a+a+a -b-b-b ",
        "(((a - b))) * 3",
        "(a - b) * (5 - 2)",
    ],
)
def test_equivalent_expressions_are_accepted(answer):
    assert decompilation.verify(CODE, answer)


@pytest.mark.parametrize(
    "answer", ["(b - a) * 3", "a - b * 3", "(a - b) * 2", "(a - b) * 3 + 1", "a", "0", "(a - b) * c"]
)
def test_wrong_expressions_are_rejected(answer):
    assert not decompilation.verify(CODE, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        "(a - b * 3",
        "a -",
        "3a",
        "d",
        "(a - b) * 3 / 1",
        "(a - b)^1 * 3",
        "(a - b) * ³",
        "9" * 5_000,
        "*".join(["9999"] * 61),
        "(" * 119 + "a",
        "-" * 119 + "a",
        "(a - b) * 3)",
        "load a",
        "__import__('os').getcwd()",
        "<extra_id_0>",
        "🙂",
        "\x00",
    ],
)
def test_garbage_is_wrong_and_never_a_crash(answer):
    assert not decompilation.verify(CODE, answer)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abcd0123456789+-*/^() ²", max_size=60))
def test_no_text_crashes_the_verifier(answer):
    assert decompilation.verify(CODE, answer) in (True, False)


def test_the_stated_chance_level():
    questions = [get("decompilation").raw("train")[i]["inputs"] for i in range(2_000)]
    assert np.mean([decompilation.verify(q, "0") for q in questions]) == pytest.approx(0.10, abs=0.02)


def test_deeper_code_by_parameter():
    lengths = [
        np.mean([len(decompilation.problem(np.random.default_rng(i), depth)["inputs"]) for i in range(100)])
        for depth in (1, 2, 4)
    ]
    assert lengths == sorted(lengths)
    assert lengths[2] > 2 * lengths[1]


def test_the_tasks_metric_is_the_share_of_verified_answers():
    task = get("decompilation")
    examples = [task.text(task.raw("test")[i], np.random.default_rng(0)) for i in range(4)]
    answers = [f"0 + ({examples[0]['targets']})", "a * b * c + 9876", "", examples[3]["targets"]]
    (metric,) = task.metric_functions()
    assert metric(
        [task.postprocess(e["targets"], e, True) for e in examples],
        [task.postprocess(a, e, False) for a, e in zip(answers, examples)],
    ) == {"verified": 50.0}
