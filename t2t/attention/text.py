"""Patterns as text, for configs and command lines: `parse("causal() & local(128)")`, and `repr` is its inverse."""

import ast
import difflib

from t2t.attention import named
from t2t.attention.pattern import Pattern

FUNCTIONS = {
    name: getattr(named, name)
    for name in (
        "bidirectional",
        "causal",
        "prefix",
        "local",
        "dilated",
        "strided",
        "blocks",
        "summaries",
        "fixed",
        "global_tokens",
        "first_queries",
        "first_keys",
        "block_table",
        "random_blocks",
        "big_bird",
    )
}


def parse(text: str) -> Pattern:
    """The pattern that a text says: calls of the named patterns with whole numbers, joined by `&`, `|` and `~`.

    Nothing is executed but these functions.

    Raises:
      ValueError: a text that is no pattern, with what was found in it.
    """
    try:
        found = _value(ast.parse(text.strip(), mode="eval").body, text)
    except SyntaxError as error:
        raise ValueError(f"The pattern {text!r} cannot be read: {error.msg}.") from None
    if not isinstance(found, Pattern):
        raise ValueError(f"Expected a pattern such as 'local(128) | strided(128)', found {text!r}.")
    return found


def _value(node: ast.AST, text: str):
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        left, right = _value(node.left, text), _value(node.right, text)
        if isinstance(left, Pattern) and isinstance(right, Pattern):
            return left & right if isinstance(node.op, ast.BitAnd) else left | right
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        inner = _value(node.operand, text)
        if isinstance(inner, Pattern):
            return ~inner
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id not in FUNCTIONS:
            near = difflib.get_close_matches(node.func.id, FUNCTIONS, 1)
            hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(FUNCTIONS)}."
            raise ValueError(f"The pattern {text!r} names {node.func.id!r}, which is none.{hint}")
        arguments = [_value(a, text) for a in node.args]
        keywords = {k.arg: _value(k.value, text) for k in node.keywords if k.arg}
        try:
            return FUNCTIONS[node.func.id](*arguments, **keywords)
        except TypeError as error:
            raise ValueError(f"The pattern {text!r} cannot be made: {error}.") from None
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    elif isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(e, text) for e in node.elts)
    raise ValueError(
        f"The pattern {text!r} has {ast.unparse(node)!r} in it; expected patterns, whole numbers, '&', '|' and '~'."
    )
