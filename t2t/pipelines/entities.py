"""Labels of tokens, in the form B-, I- and O, gathered into words and entities."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

Strategy = Literal["none", "simple", "first", "average", "max"]


@dataclasses.dataclass(frozen=True)
class Piece:
    """A token, or several that became one.

    Attributes:
      token: its own text, or theirs, joined.
      scores: float32 [labels], probabilities.
      start, end: its characters.
      begins: whether a word begins with it.
    """

    token: str
    scores: np.ndarray
    start: int
    end: int
    begins: bool = True

    @property
    def label(self) -> int:
        """The likeliest."""
        return int(self.scores.argmax())


Join = Callable[[Sequence[str]], str]


def words(pieces: Sequence[Piece], strategy: Strategy, join: Join) -> list[Piece]:
    """The pieces of each word as one, with the scores of the first, of the surest, or the average of all."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if piece.begins or not groups:
            groups.append([])
        groups[-1].append(piece)
    return [
        Piece(join([p.token for p in group]), _of_word(group, strategy), group[0].start, group[-1].end)
        for group in groups
    ]


def _of_word(group: Sequence[Piece], strategy: Strategy) -> np.ndarray:
    if strategy == "average":
        return np.mean([piece.scores for piece in group], axis=0)
    return (group[0] if strategy == "first" else max(group, key=lambda piece: piece.scores.max())).scores


def entities(pieces: Sequence[Piece], names: Sequence[str], join: Join) -> list[dict[str, Any]]:
    """Neighbours of one kind together; B- begins another. Labels without B- or I- are taken for I-."""
    groups: list[list[Piece]] = []
    before = None
    for piece in pieces:
        begins, kind = _parts(names[piece.label])
        if begins or kind != before:
            groups.append([])
        groups[-1].append(piece)
        before = kind
    return [
        {
            "entity_group": names[group[0].label].split("-", 1)[-1],
            "score": float(np.mean([piece.scores.max() for piece in group])),
            "word": join([piece.token for piece in group]),
            "start": group[0].start,
            "end": group[-1].end,
        }
        for group in groups
    ]


def _parts(name: str) -> tuple[bool, str]:
    """Whether an entity begins, and its kind."""
    return name.startswith("B-"), name[2:] if name.startswith(("B-", "I-")) else name
