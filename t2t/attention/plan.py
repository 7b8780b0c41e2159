"""A pattern as a few disjoint pieces, each of which is dense in tiles once its positions are laid out in some order.

A pattern is a union of conjunctions (its disjunctive normal form). A conjunction names the order in which its pairs
come to lie together: `strided` columns, `summaries` and `global_tokens` the few keys or queries alone, all others the
sequence itself. Conjunctions of one order make one piece, and what an earlier piece computes a later one leaves out, so
that no pair counts twice. Tiles in which no pair can meet are never computed. All of this is NumPy at trace time, once
for each pattern and length.
"""

import dataclasses
import functools

from t2t.attention.atoms import Bidirectional, Causal, FirstKeys, FirstQueries, Strided, Summaries
from t2t.attention.order import BlockEnds, Columns, First, Order
from t2t.attention.pattern import And, Not, Or, Pattern
from t2t.attention.tiling import LARGEST, Tiling, tile

MOST_TERMS = 32  # of the normal form; beyond it a pattern is one piece in the order of the sequence


@dataclasses.dataclass(frozen=True)
class Piece:
    """Pairs that are computed together.

    Attributes:
      pattern: which pairs of a tile meet, given that the orders and groups hold.
      queries, keys: how positions are laid out.
      tiling: which slots of keys each tile of queries is computed against.
    """

    pattern: Pattern
    queries: Order
    keys: Order
    tiling: Tiling


@functools.lru_cache(maxsize=512)
def plan(pattern: Pattern, n: int, m: int, most: int = LARGEST) -> tuple[Piece, ...]:
    """The pieces of a pattern for n queries and m keys, in tiles of no more than `most` pairs.

    Together they hold each pair that the pattern allows exactly once. A pattern whose pieces would cost more than the
    sequence tiled as it is stays whole.
    """
    pieces = by_terms(pattern, n, m, most)
    if len(pieces) == 1 and (pieces[0].queries, pieces[0].keys) == (Order(n), Order(m)):
        return pieces
    whole = _piece(pattern.expand(), pattern.expand(), Order(n), Order(m), None, most)
    if not whole.tiling.items:
        return ()
    return pieces if sum(p.tiling.cost for p in pieces) < whole.tiling.cost else (whole,)


@functools.lru_cache(maxsize=512)
def by_terms(pattern: Pattern, n: int, m: int, most: int = LARGEST) -> tuple[Piece, ...]:
    """A piece for each order that the terms of a pattern's normal form name, whatever they cost."""
    groups: dict[tuple, list[list[Pattern]]] = {}
    for term in normal_form(pattern):
        groups.setdefault(_order(term, n, m), []).append(term)
    if set(groups) == {(Order(n), Order(m), None)}:
        whole = _piece(pattern.expand(), pattern.expand(), Order(n), Order(m), None, most)
        return (whole,) if whole.tiling.items else ()
    pieces, earlier = [], None
    for (queries, keys, given), terms in sorted(groups.items(), key=lambda item: item[0][2] is not None):
        here = functools.reduce(Or, (functools.reduce(And, term) for term in terms))
        alone = here if earlier is None else And(here, Not(earlier).expand())
        pieces.append(_piece(alone, here, queries, keys, given, most))
        earlier = here if earlier is None else Or(earlier, here)
    return tuple(piece for piece in pieces if piece.tiling.items)


def normal_form(pattern: Pattern) -> list[list[Pattern]]:
    """The pattern as a union of conjunctions of atoms and negated atoms."""

    def terms(p):
        if isinstance(p, Or):
            return terms(p.left) + terms(p.right)
        if isinstance(p, And):
            return [left + right for left in terms(p.left) for right in terms(p.right)]
        return [[p]]

    pattern = pattern.expand()
    found = terms(pattern)
    return found if len(found) <= MOST_TERMS else [[pattern]]


def without_causality(pattern: Pattern) -> Pattern:
    """The pattern with `causal()` lifted wherever it restricts."""
    if isinstance(pattern, (And, Or)):
        return simplify(type(pattern)(without_causality(pattern.left), without_causality(pattern.right)))
    return Bidirectional() if isinstance(pattern, Causal) else pattern


def simplify(pattern: Pattern, given: Pattern | None = None) -> Pattern:
    """The pattern where the atom `given` is known to hold, without the atoms that then decide nothing."""
    everyone, no_one = Bidirectional(), Not(Bidirectional())
    if pattern == given:
        return everyone
    if isinstance(pattern, Not):
        inner = simplify(pattern.pattern, given)
        return inner.pattern if isinstance(inner, Not) else Not(inner)
    if isinstance(pattern, (And, Or)):
        left = simplify(pattern.left, given)
        right = simplify(pattern.right, given)
        if isinstance(pattern, And):  # what the left says is known on the right
            right = simplify(right, left)
        neutral, absorbing = (everyone, no_one) if isinstance(pattern, And) else (no_one, everyone)
        if absorbing in (left, right):
            return absorbing
        if left in (neutral, right):
            return right
        return left if right == neutral else type(pattern)(left, right)
    return pattern


def _order(term: list[Pattern], n: int, m: int) -> tuple[Order, Order, Pattern | None]:
    """The order of queries and of keys in which a conjunction is dense, and the atom that the order makes true."""
    for atom in term:
        if isinstance(atom, Strided) and n == m and 1 < atom.stride < n:
            return Columns(n, atom.stride), Columns(m, atom.stride), atom
    for atom in term:
        if isinstance(atom, FirstQueries) and atom.count < n:
            return First(n, atom.count), Order(m), atom
        if isinstance(atom, FirstKeys) and atom.count < m:
            return Order(n), First(m, atom.count), atom
        if isinstance(atom, Summaries) and 0 < atom.length - atom.count < m:
            return Order(n), BlockEnds(m, atom.length, atom.count), atom
    return Order(n), Order(m), None


def _piece(alone: Pattern, here: Pattern, queries: Order, keys: Order, given: Pattern | None, most: int) -> Piece:
    # Tiles are chosen by the terms of this piece: what earlier pieces take out of them is scattered.
    tiling = tile(simplify(here, given), queries, keys, most)
    groups = queries.groups
    if groups is not None and tiling.reaches_over(len(groups) // (int(groups[-1]) + 1)):
        given = None  # some slice of keys holds those of another group, so that the atom does not hold by itself
    return Piece(simplify(alone, given), queries, keys, tiling)
