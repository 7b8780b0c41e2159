"""A small parser of formulas: a model's answer is read by it, never by Python's `eval`."""

import cmath
import re
from typing import Any

# Limits of an answer: what goes beyond them is none, and would take long to judge.
MAX_TOKENS = 120
MAX_NUMBER = 10_000
MAX_POWER = 12
MAX_DEGREE = MAX_POWER**2  # of a power of a power
FUNCTIONS = ("sin", "cos", "exp", "log", "sqrt")
_DIGITS = "0123456789"  # not str.isdigit, which also takes what int() does not, such as a superscript two


class ParseError(ValueError):
    """A text that is no formula."""


def parse(text: str, variables: tuple[str, ...], functions: tuple[str, ...] = ()) -> tuple:
    """A formula of + - * / ^ and brackets as nested tuples.

    They are ("+", a, b) and so on, ("neg", a), ("sin", a), ("number", 3), ("variable", "x").

    Raises:
      ParseError: a text that is no formula over these variables and functions, or too large a one.
    """
    tokens = re.findall(r"[0-9]+|[A-Za-z]+|\S", text)
    if not tokens or len(tokens) > MAX_TOKENS:
        raise ParseError(f"expected 1 to {MAX_TOKENS} symbols, found {len(tokens)}")
    reader = _Reader(tokens, variables, functions)
    tree = reader.sum()
    if reader.at < len(tokens):
        raise ParseError(f"unexpected {tokens[reader.at]!r}")
    return tree


def _integer(token: str, most: int) -> int:
    """The number that a token is. A long one is refused by its length: Python does not convert thousands of digits."""
    if token[0] not in _DIGITS or len(token) > len(str(most)) or int(token) > most:
        raise ParseError(f"expected a number of 0 to {most}, found {token[:40]!r}")
    return int(token)


def _degree(tree: tuple) -> int:
    """The greatest product of exponents, one inside the other, in a formula."""
    inner = max((_degree(part) for part in tree[1:] if isinstance(part, tuple)), default=1)
    return inner * tree[2][1] if tree[0] == "^" else inner


class _Reader:
    """Recursive descent: sum → product → unary → power → atom."""

    def __init__(self, tokens, variables, functions):
        self.tokens, self.variables, self.functions, self.at = tokens, variables, functions, 0

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, expected: str | None = None) -> str:
        token = self._peek()
        if not token or (expected is not None and token != expected):
            raise ParseError(f"expected {expected or 'more'}, found {token or 'the end'!r}")
        self.at += 1
        return token

    def _chain(self, operators, operand):
        tree = operand()
        while self._peek() in operators:
            tree = (self._take(), tree, operand())
        return tree

    def sum(self):
        return self._chain(("+", "-"), self.product)

    def product(self):
        return self._chain(("*", "/"), self.unary)

    def unary(self):
        if self._peek() == "-":
            self._take()
            return ("neg", self.unary())
        return self.power()

    def power(self):
        base = self.atom()
        if self._peek() != "^":
            return base
        self._take()
        exponent = _integer(self._take(), MAX_POWER)
        if exponent * _degree(base) > MAX_DEGREE:
            raise ParseError(f"expected powers of powers up to {MAX_DEGREE} in all, found more")
        return ("^", base, ("number", exponent))

    def atom(self):
        token = self._take()
        if token[0] in _DIGITS:
            return ("number", _integer(token, MAX_NUMBER))
        if token in self.variables:
            return ("variable", token)
        if token == "(":
            tree = self.sum()
            self._take(")")
            return tree
        if token in self.functions:
            self._take("(")
            tree = self.sum()
            self._take(")")
            return (token, tree)
        raise ParseError(f"unexpected {token!r}")


def value(tree: tuple, x: float) -> complex:
    """A formula in x at a point, in floating point.

    Raises:
      ArithmeticError, ValueError: it has no finite value there: a division by zero, a logarithm of zero, an overflow.
    """
    kind, *rest = tree
    if kind == "number":
        return complex(rest[0])
    if kind == "variable":
        return complex(x)
    a, *others = (value(r, x) for r in rest)
    if kind in FUNCTIONS:
        return getattr(cmath, kind)(a)
    if kind == "neg":
        return -a
    (b,) = others
    if kind == "^":
        return a ** int(b.real)
    return a + b if kind == "+" else a - b if kind == "-" else a * b if kind == "*" else a / b


def to_sympy(tree: tuple) -> Any:
    """A formula in x, as `parse` reads it, as a SymPy expression. Raises ParseError for a division by zero."""
    import sympy

    def convert(tree):
        kind, *rest = tree
        if kind == "number":
            return sympy.Integer(rest[0])
        if kind == "variable":
            return sympy.Symbol(rest[0])
        arguments = [convert(r) for r in rest]
        if kind == "/" and arguments[1].is_zero:
            raise ParseError("division by zero")
        return {
            "+": lambda a, b: a + b,
            "-": lambda a, b: a - b,
            "*": lambda a, b: a * b,
            "/": lambda a, b: a / b,
            "^": lambda a, b: a**b,
            "neg": lambda a: -a,
            "sin": sympy.sin,
            "cos": sympy.cos,
            "exp": sympy.exp,
            "log": sympy.log,
            "sqrt": sympy.sqrt,
        }[kind](*arguments)

    return convert(tree)


def evaluate(tree: tuple, values: dict[str, int]) -> int:
    """The integer value of a formula of + - * and neg. Raises ParseError for others."""
    kind, *rest = tree
    if kind == "number":
        return rest[0]
    if kind == "variable":
        return values[rest[0]]
    arguments = [evaluate(r, values) for r in rest]
    if kind == "+":
        return arguments[0] + arguments[1]
    if kind == "-":
        return arguments[0] - arguments[1]
    if kind == "*":
        return arguments[0] * arguments[1]
    if kind == "neg":
        return -arguments[0]
    raise ParseError(f"no integer operation {kind!r}")
