"""The errors that are meant for people: what and where, what was expected, what was found, and the fix."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave (a config, a file, a name). Launch scripts print it without a traceback."""


class ConfigError(UserError):
    """A config that cannot be: an unknown field, a wrong type, or two fields that contradict each other."""


class DataError(UserError):
    """Data that cannot be read or used: a malformed line, a missing column, an empty split."""


class CheckpointError(UserError):
    """A checkpoint or a workdir that cannot be used: corrupted, truncated, or of another run."""


def nearest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The `count` candidates most like `name`, most alike first; empty where none is alike."""
    return difflib.get_close_matches(str(name), [str(c) for c in candidates], n=count, cutoff=0.5)


def unknown(kind: str, name: str, candidates: Iterable[str]) -> str:
    """The message for a name that is not among `candidates`: the nearest names, or all of them where few or none is
    near."""
    candidates = sorted(str(c) for c in candidates)
    close = nearest(name, candidates)
    if close:
        hint = "Did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    elif candidates:
        hint = "There are: " + ", ".join(candidates[:20]) + (", …" if len(candidates) > 20 else "") + "."
    else:
        hint = "There are none."
    return f"Unknown {kind} '{name}'. {hint}"
