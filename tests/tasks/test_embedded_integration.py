"""Integration: the generated pairs are right by SymPy, equivalent answers are accepted, and nothing else is."""

import subprocess
import sys

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.tasks import get
from t2t.tasks.embedded import expressions, integration

DIFFICULTIES = [integration.EASY, integration.HARD]


def by_sympy(text: str) -> sympy.Expr:
    return sympy.sympify(text.replace("^", "**"))


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_derivative_of_the_target_is_the_question(difficulty):
    for seed in range(60):
        problem = integration.problem(np.random.default_rng(seed), difficulty)
        f, big_f = by_sympy(problem["inputs"].removeprefix("integrate: ")), by_sympy(problem["targets"])
        assert sympy.expand(sympy.diff(big_f, "x") - f) == 0, problem


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_verifier_accepts_the_target_and_rejects_another_problems(difficulty):
    generator = np.random.default_rng(0)
    problems = [integration.problem(generator, difficulty) for _ in range(25)]
    for problem, other in zip(problems, problems[1:]):
        assert integration.verify(problem["inputs"], problem["targets"]), problem
        assert integration.verify(problem["inputs"], other["targets"]) == (problem["inputs"] == other["inputs"])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("3*x^2 - 2*cos(2*x)", "x^3 - sin(2*x)"),
        ("3*x^2 - 2*cos(2*x)", "x*x*x-sin(x+x)+7"),  # the constant is free
        ("3*x^2 - 2*cos(2*x)", " -2*sin(x)*cos(x) + x^3 - 100/3 "),
        ("2*sin(x)*cos(x)", "sin(x)^2"),
        ("2*sin(x)*cos(x)", "-cos(x)^2"),
        ("2*sin(x)*cos(x)", "-cos(2*x)/2"),
        ("x*exp(x)", "(x - 1)*exp(x)"),
        ("x*exp(x)", "x*exp(x) - exp(x) + sqrt(2)"),
        ("2*exp(2*x)", "exp(x)*exp(x)"),
        ("2*exp(2*x)", "exp(x)^2"),
        ("3", "3*(x + 1)^3/(x + 1)^2"),
        ("3", "3*x + sin(x)^2 + cos(x)^2"),
        ("3", "3*x + log(2)"),
        ("3", "--3*x"),
        ("-x", "-x^2/2"),
    ],
)
def test_equivalent_answers_are_accepted(question, answer):
    assert integration.verify(f"integrate: {question}", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "x^3 + sin(2*x)",
        "x^3 - 2*sin(2*x)",
        "x^3",
        "0",
        "x^3 - sin(2*x) + x/10000",
        "3*x^2 - 2*cos(2*x)",
        "x^3 - sin(2*x) + (x - 3/7)^2*(x + 5/4)^2*(x - 17/9)^2",
    ],
)  # whose derivative is right at the three points
def test_wrong_answers_are_rejected(answer):
    assert not integration.verify("integrate: 3*x^2 - 2*cos(2*x)", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        "3x",
        "3*x+",
        "+3*x",
        "(3*x",
        "3*x)",
        "3**x",
        "3*y",
        "tan(x)",
        "sin x",
        "sin()",
        "x^-1",
        "x^x",
        "x^13",
        "10001*x",
        "²",
        "x^²",
        "٣*x",
        "9" * 5_000,
        "x" * 5_000,
        "(" * 119 + "1",
        "-" * 119 + "x",
        "3*x" + "+0" * 200,
        "\x00",
        "🙂",
        "nan",
        "oo",
        "3*x + 0/0",
        "3*x + 1/(x - x)",
        "3*x + log(0)",
        "3*x + 1/(sin(x)^2 + cos(x)^2 - 1)",
        "__import__('os').system('true')",
        "lambda: x",
        "x if x else x",
        "integrate(3)",
        "<extra_id_0>",
    ],
)
def test_garbage_is_wrong_and_never_a_crash(answer):
    assert not integration.verify("integrate: 3", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "3*x + exp(exp(exp(exp(9999))))",
        "3*x + sin(exp(exp(exp(x))))",
        "3*x + sin(exp(10000^12))",
        "exp(exp(exp(9999)))*x",
        "3*x + " + "(" * 25 + "1" + "^12)" * 25,
        "3*x + " + "(" * 8 + "sin(x)" + "^12)" * 8,
        "3*x + (((x + 2)/100^12)^12)^12",
    ],
)
def test_what_would_take_for_ever_to_judge_is_refused(answer):
    assert not integration.verify("integrate: 3", answer)


def test_answers_beyond_ordinary_size_are_refused():
    assert integration.verify("integrate: 3", "3*x + 10000^2")
    assert not integration.verify("integrate: 3", "3*x + 10000^4")


def test_powers_of_powers_within_reason_are_judged():
    assert integration.verify("integrate: 6*x^5", "(x^2)^3")
    assert integration.verify("integrate: 12*x^11", "((x^2)^3)^2 + ((1/2)^12)^12")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="x0123456789+-*/^() sincoexplgqrt²y.", max_size=60))
def test_no_text_crashes_the_verifier(answer):
    assert integration.verify("integrate: 3", answer) in (True, False)


def test_the_verifier_has_room_on_a_deep_call_stack():
    def below(depth):
        return below(depth - 1) if depth else integration.verify("integrate: 3", "(" * 55 + "3*x" + ")" * 55)

    assert below(100)


def test_no_answer_is_ever_evaluated_as_python(tmp_path):
    target = tmp_path / "made"
    integration.verify("integrate: 3", f"open('{target}', 'w')")
    integration.verify("integrate: 3", f"exec(\"open('{target}', 'w')\")")
    assert not target.exists()


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ({("", 2, 0): 3, ("cos", 0, 2): -2}, "3*x^2 - 2*cos(2*x)"),
        ({("", 1, 0): -1}, "-x"),
        ({("", 0, 0): 1}, "1"),
        ({("", 0, 0): -5, ("exp", 3, 1): 1}, "-5 + x^3*exp(x)"),
        ({("sin", 1, 5): -1, ("exp", 0, 1): 4}, "4*exp(x) - x*sin(5*x)"),
    ],
)
def test_sums_as_text(function, text):
    assert integration.render(function) == text


def test_one_function_has_one_text():
    terms = {("sin", 0, 2): 3, ("", 4, 0): -1, ("exp", 1, 1): 2}
    assert integration.render(terms) == integration.render(dict(reversed(terms.items())))


def test_derivatives_by_the_product_rule():
    assert integration.derivative({("cos", 2, 3): 5}) == {("cos", 1, 3): 10, ("sin", 2, 3): -15}
    assert integration.derivative({("", 1, 0): 4}) == {("", 0, 0): 4}
    x_sin = {("sin", 1, 1): 1, ("cos", 0, 1): 1}  # terms that cancel vanish
    assert integration.derivative(x_sin) == {("cos", 1, 1): 1}


def test_easy_problems_have_no_products_and_hard_ones_do():
    easy, hard = ([integration.draw_function(np.random.default_rng(i), d) for i in range(200)] for d in DIFFICULTIES)
    assert not any(kind and n for f in easy for kind, n, _ in f)
    assert any(kind and n for f in hard for kind, n, _ in f)
    assert max(len(f) for f in easy) == 2
    assert max(len(f) for f in hard) == 3


def test_formulas_bind_as_usual():
    read = lambda text: expressions.parse(text, ("x",))  # noqa: E731
    assert read("1 - 2 - 3") == ("-", ("-", ("number", 1), ("number", 2)), ("number", 3))
    assert read("-x^2") == ("neg", ("^", ("variable", "x"), ("number", 2)))
    assert read("1+2*x") == ("+", ("number", 1), ("*", ("number", 2), ("variable", "x")))
    with pytest.raises(expressions.ParseError, match="expected a number of 0 to 12, found '13'"):
        read("x^13")
    with pytest.raises(expressions.ParseError, match="expected 1 to 120 symbols, found 121"):
        read("x" + "+x" * 60)


@pytest.mark.parametrize(
    ("name", "difficulty"), [("integration", integration.EASY), ("integration_hard", integration.HARD)]
)
def test_the_tasks_metric_is_the_share_of_verified_answers(name, difficulty):
    task = get(name)
    examples = [task.text(task.raw("validation")[i], np.random.default_rng(0)) for i in range(4)]
    answers = [examples[0]["targets"] + " + 3", "7*x^7", examples[2]["targets"], "no idea"]
    (metric,) = task.metric_functions()
    assert metric(
        [task.postprocess(e["targets"], e, True) for e in examples],
        [task.postprocess(a, e, False) for a, e in zip(answers, examples)],
    ) == {"verified": 50.0}


def test_sympy_is_loaded_by_the_verifier_alone(repository):
    code = (
        "import sys; from t2t import tasks; tasks.get('integration').raw('train')[0]; "
        "assert 'sympy' not in sys.modules\n"
        "tasks.embedded.integration.verify('integrate: 3', '3*x'); print('sympy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
