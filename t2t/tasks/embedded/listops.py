"""ListOps: nested lists of digits under MIN, MAX, MED and SM (Nangia & Bowman 2018), into one digit.

`LONG_RANGE_ARENA` is the setting of Tay et al. (2021), section 2.2.1: its generator lets lists nest nine deep (its
depth of 10 counts the digits), and keeps expressions of more than 500 and fewer than 2000 symbols.
"""

import dataclasses
import re

import numpy as np

OPERATORS = {
    "MIN": min,
    "MAX": max,
    "MED": lambda values: int(np.median(values)),
    "SM": lambda values: sum(values) % 10,
}
DIGITS = tuple("0123456789")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """How large an expression is.

    Attributes:
      depth, arguments: how deep lists nest at most, and the most arguments of an operator.
      nesting: how probably an argument is a list, where lists may still nest. A quarter is published; with a depth of
        two that would leave most lists flat.
      shortest, longest: limits of the number of symbols.
    """

    depth: int = 2
    arguments: int = 4
    nesting: float = 0.75
    shortest: int = 4
    longest: int = 40


EASY = Size()
LONG_RANGE_ARENA = Size(depth=9, arguments=10, nesting=0.25, shortest=501, longest=1999)


def draw_expression(generator: np.random.Generator, size: Size, depth: int | None = None) -> list[str]:
    """The symbols of a random expression."""
    depth = size.depth if depth is None else depth
    if depth == 0 or (depth < size.depth and generator.random() < 1 - size.nesting):
        return [str(int(generator.integers(10)))]
    symbols = ["[" + list(OPERATORS)[int(generator.integers(4))]]
    for _ in range(int(generator.integers(2, size.arguments + 1))):
        symbols += draw_expression(generator, size, depth - 1)
    return [*symbols, "]"]


def evaluate(text: str) -> int:
    """The value of an expression, in this notation or in that of the published files, whose brackets are binary.

    Raises:
      ValueError: a text that is no expression.
    """
    stack: list[list] = [[]]
    for symbol in re.findall(r"\[[A-Z]*|[0-9]+|\S", text):
        if symbol in "()":
            continue  # the binary brackets add nothing: every list has its own end
        if symbol[1:] in OPERATORS:
            stack.append([symbol[1:]])
        elif symbol == "]" and len(stack) > 1 and len(stack[-1]) > 1:
            operator, *values = stack.pop()
            stack[-1].append(OPERATORS[operator](values))
        elif symbol in DIGITS:
            stack[-1].append(int(symbol))
        else:
            raise ValueError(f"no ListOps expression: unexpected {symbol!r}")
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError(f"no ListOps expression: {text[:60]!r}")
    return stack[0][0]


def problem(generator: np.random.Generator, size: Size = EASY) -> dict[str, str]:
    """A problem: inputs an expression, targets its value."""
    while True:
        symbols = draw_expression(generator, size)
        if size.shortest <= len(symbols) <= size.longest:
            text = " ".join(symbols)
            return {"inputs": f"listops: {text}", "targets": str(evaluate(text))}
