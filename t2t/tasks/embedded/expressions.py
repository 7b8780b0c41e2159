"""A small parser of formulas: a model's answer is read by it, never by Python's `eval`."""

import re
from typing import Any

MAX_TOKENS = 120  # of an answer: what is longer, or has a greater number in it, is no answer, and would take long to judge
MAX_NUMBER = 10_000
MAX_POWER = 12
FUNCTIONS = ("sin", "cos", "exp", "log", "sqrt")


class ParseError(ValueError):
    """A text that is no formula."""


def parse(text: str, variables: tuple[str, ...], functions: tuple[str, ...] = ()) -> tuple:
    """A formula of + - * / ^ and brackets as nested tuples: ("+", a, b), ("neg", a), ("sin", a), ("number", 3), ("variable", "x").

    Raises:
      ParseError: a text that is no formula over these variables and functions, or too large a one.
    """
    tokens = re.findall(r"\s*(\d+|[A-Za-z]+|\S)", text)
    if not tokens or len(tokens) > MAX_TOKENS:
        raise ParseError(f"expected 1 to {MAX_TOKENS} symbols, found {len(tokens)}")
    reader = _Reader(tokens, variables, functions)
    tree = reader.sum()
    if reader.at < len(tokens):
        raise ParseError(f"unexpected {tokens[reader.at]!r}")
    return tree


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
        exponent = self._take()
        if not exponent.isdigit() or int(exponent) > MAX_POWER:
            raise ParseError(f"expected an exponent of 0 to {MAX_POWER}, found {exponent!r}")
        return ("^", base, ("number", int(exponent)))

    def atom(self):
        token = self._take()
        if token.isdigit():
            if int(token) > MAX_NUMBER:
                raise ParseError(f"expected a number up to {MAX_NUMBER}, found {token}")
            return ("number", int(token))
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


def to_sympy(text: str) -> Any:
    """A formula in x as a SymPy expression. Raises ParseError."""
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
        return {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
                "^": lambda a, b: a**b, "neg": lambda a: -a, "sin": sympy.sin, "cos": sympy.cos, "exp": sympy.exp,
                "log": sympy.log, "sqrt": sympy.sqrt}[kind](*arguments)

    return convert(parse(text, ("x",), FUNCTIONS))


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
