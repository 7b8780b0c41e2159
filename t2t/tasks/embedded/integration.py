"""Symbolic integration by backward generation (Lample & Charton 2020, section 3.2): draw F, give f = F′, accept any F.

Functions are sums of terms c·xⁿ·g(bx) with g among 1, sin, cos and exp. They are closed under differentiation, so a
problem costs no computer algebra to make; SymPy only judges the answers.
"""

import dataclasses
from fractions import Fraction

import numpy as np

from t2t.tasks.embedded import expressions

Term = tuple[str, int, int]  # g ("" for 1), n, b
Sum = dict[Term, int]  # term → c

POINTS = (Fraction(3, 7), Fraction(-5, 4), Fraction(17, 9))  # where a derivative is compared before algebra is tried
LARGEST = 1e12  # that an answer may be at them; those of the problems here stay under 1e7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How large a function is drawn.

    Attributes:
      terms, coefficient, power, inner: the greatest number of terms, |c|, n and b.
      products: whether xⁿ and g(bx) are multiplied, which needs integration by parts.
    """

    terms: int = 2
    coefficient: int = 5
    power: int = 4
    inner: int = 3
    products: bool = False


EASY = Difficulty()
HARD = Difficulty(terms=3, coefficient=9, power=5, inner=5, products=True)


def draw_function(generator: np.random.Generator, difficulty: Difficulty) -> Sum:
    """A random F without a constant term."""
    result: Sum = {}
    for _ in range(int(generator.integers(1, difficulty.terms + 1))):
        kind = ("", "sin", "cos", "exp")[int(generator.integers(4))]
        power = int(generator.integers(1, difficulty.power + 1))
        if kind and not (difficulty.products and generator.random() < 0.5):
            power = 0
        inner = int(generator.integers(1, difficulty.inner + 1)) if kind else 0
        c = int(generator.integers(1, difficulty.coefficient + 1)) * (1 if generator.random() < 0.7 else -1)
        result[kind, power, inner] = c
    return result


def derivative(function: Sum) -> Sum:
    """d/dx of a sum of terms, by the product rule."""
    result: Sum = {}

    def add(term, c):
        result[term] = result.get(term, 0) + c

    for (kind, n, b), c in function.items():
        if n:
            add((kind, n - 1, b), c * n)
        if kind:
            add(({"sin": "cos", "cos": "sin", "exp": "exp"}[kind], n, b), -c * b if kind == "cos" else c * b)
    return {term: c for term, c in result.items() if c}


def render(function: Sum) -> str:
    """A sum as text, e.g. "3*x^2 - 2*cos(2*x)"."""
    parts = []
    for (kind, n, b), c in sorted(function.items(), key=lambda item: (item[0][0], -item[0][1], item[0][2])):
        factors = [f"x^{n}" if n > 1 else "x"] * (n > 0) + [f"{kind}({f'{b}*' if b > 1 else ''}x)"] * bool(kind)
        magnitude = [str(abs(c))] * (abs(c) > 1 or not factors)
        parts.append((" - " if c < 0 else " + ") + "*".join(magnitude + factors))
    text = "".join(parts)
    return text.removeprefix(" + ") if text.startswith(" + ") else "-" + text.removeprefix(" - ")


def problem(generator: np.random.Generator, difficulty: Difficulty = EASY) -> dict[str, str]:
    """A problem: inputs f, targets one F; both also without the prefix, for the verifier."""
    function = draw_function(generator, difficulty)
    return {"inputs": f"integrate: {render(derivative(function))}", "targets": render(function)}


def verify(question: str, answer: str) -> bool:
    """Whether `answer` is an antiderivative of the function after the prefix of `question`.

    Whatever cannot be read is not, nor is what has no value of ordinary size where the two are compared: a logarithm of
    zero, or a tower of exponentials, on which exact arithmetic would take for ever.
    """
    import sympy

    try:
        f, big_f = (expressions.parse(t, ("x",), expressions.FUNCTIONS) for t in (question.split(":", 1)[1], answer))
        if any(not abs(expressions.value(big_f, float(p))) < LARGEST for p in POINTS):
            return False
        f, big_f = expressions.to_sympy(f), expressions.to_sympy(big_f)
    except (expressions.ParseError, ArithmeticError, ValueError):
        return False
    x = sympy.Symbol("x")
    difference = sympy.diff(big_f, x) - f
    for point in POINTS:  # cheap, and nearly always enough
        here = sympy.Rational(point)
        value, scale = sympy.N(difference.subs(x, here), 30), 1 + abs(sympy.N(f.subs(x, here), 30))
        if not value.is_finite or abs(value) > 1e-12 * scale:
            return False
    return sympy.simplify(sympy.expand(difference)) == 0
