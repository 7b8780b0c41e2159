"""Layers of different reach, as configs name them: which mechanisms take turns, and how wide their windows are."""

from collections.abc import Sequence

from t2t.attention import Mechanism, Sparse, local


def shortest_turn(kinds: Sequence) -> Sequence:
    """The shortest beginning of what all layers have, one after the other, that comes again and again until their
    end."""
    lengths = (i for i in range(1, len(kinds) + 1) if len(kinds) % i == 0)
    return next(kinds[:i] for i in lengths if kinds[:i] * (len(kinds) // i) == kinds)


def window_of(mechanism: Mechanism) -> int | None:
    """The window of a mechanism that sees a window and nothing else; None for others."""
    pattern = mechanism.patterns[0] if isinstance(mechanism, Sparse) and isinstance(mechanism.pattern, str) else None
    window = getattr(pattern, "window", None)
    return window if window is not None and pattern == local(window) else None
