"""Decompilation: stack-machine code into an infix expression, accepted if it executes to the same values.

The machine has `push n`, `load v`, `add`, `sub`, `mul`, `neg`, `dup` (copies the top) and `swap` (of the top two). A
compiler makes the code from a random expression, using `dup` where both operands are the same and `swap` now and then,
so that the code does not spell the expression out. Easy one way, learned the other, after the neural decompilation
literature (e.g. Katz et al. 2019).
"""

import numpy as np

from t2t.tasks.embedded import expressions

VARIABLES = ("a", "b", "c")
_OPERATIONS = {"+": "add", "-": "sub", "*": "mul"}
_TESTS = [
    {v: int(n) for v, n in zip(VARIABLES, row)}
    for row in np.random.default_rng(0).integers(-20, 21, (12, len(VARIABLES)))
]


def draw_expression(generator: np.random.Generator, depth: int) -> tuple:
    """A random expression tree, as `expressions.parse` makes them."""
    if depth == 0 or generator.random() < 0.15:
        if generator.random() < 0.7:
            return ("variable", VARIABLES[int(generator.integers(len(VARIABLES)))])
        return ("number", int(generator.integers(1, 10)))
    if generator.random() < 0.1:
        return ("neg", draw_expression(generator, depth - 1))
    left = draw_expression(generator, depth - 1)
    right = left if generator.random() < 0.15 else draw_expression(generator, depth - 1)
    return (("+", "-", "*")[int(generator.integers(3))], left, right)


def compile_expression(tree: tuple, generator: np.random.Generator) -> list[str]:
    """Stack-machine code that leaves the expression's value on the stack."""
    kind, *rest = tree
    if kind == "number":
        return [f"push {rest[0]}"]
    if kind == "variable":
        return [f"load {rest[0]}"]
    if kind == "neg":
        return [*compile_expression(rest[0], generator), "neg"]
    left, right = (compile_expression(r, generator) for r in rest)
    if rest[0] == rest[1]:
        return [*left, "dup", _OPERATIONS[kind]]
    if generator.random() < 0.2:
        return [*right, *left, "swap", _OPERATIONS[kind]]
    return [*left, *right, _OPERATIONS[kind]]


def execute(code: str, values: dict[str, int]) -> int:
    """What the machine leaves on its stack after running code with these variables."""
    stack: list[int] = []
    words = iter(code.split())
    for word in words:
        if word == "push":
            stack.append(int(next(words)))
        elif word == "load":
            stack.append(values[next(words)])
        elif word == "neg":
            stack.append(-stack.pop())
        elif word == "dup":
            stack.append(stack[-1])
        else:
            top, below = stack.pop(), stack.pop()
            stack += {"add": [below + top], "sub": [below - top], "mul": [below * top], "swap": [top, below]}[word]
    (result,) = stack
    return result


def render(tree: tuple) -> str:
    """An expression as text, with no more brackets than it needs."""
    return _render(tree)[0]


def _render(tree: tuple) -> tuple[str, int]:
    """The text, and how tightly its outermost operation binds: 1 a sum, 2 a product, 3 an atom."""
    kind, *rest = tree
    if kind in ("number", "variable"):
        return str(rest[0]), 3
    parts = [_render(r) for r in rest]
    if kind == "neg":
        text, level = parts[0]
        return "-" + (text if level == 3 else f"({text})"), 2
    own = 2 if kind == "*" else 1
    (left, left_level), (right, right_level) = parts
    left = left if left_level >= own else f"({left})"
    bare = right_level > own or (right_level == own and kind != "-" and not right.startswith("-"))
    right = right if bare else f"({right})"
    return f"{left} {kind} {right}", own


def problem(generator: np.random.Generator, depth: int = 2) -> dict[str, str]:
    """A problem: inputs the code, targets one expression that compiles to it."""
    tree = draw_expression(generator, depth)
    return {"inputs": "decompile: " + " ".join(compile_expression(tree, generator)), "targets": render(tree)}


def verify(question: str, answer: str) -> bool:
    """Whether `answer` executes to the values of the code after the prefix of `question`, on twelve sets of inputs."""
    code = question.split(":", 1)[1]
    try:
        tree = expressions.parse(answer, VARIABLES)
        return all(expressions.evaluate(tree, values) == execute(code, values) for values in _TESTS)
    except expressions.ParseError:
        return False
