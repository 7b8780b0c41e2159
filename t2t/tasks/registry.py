"""The open registry of tasks and mixtures: users add theirs."""

from collections.abc import Iterable

from t2t.errors import DataError, unknown
from t2t.tasks.mixture import Mixture
from t2t.tasks.task import Task

_REGISTRY: dict[str, Task | Mixture] = {}


def register(entry: Task | Mixture) -> Task | Mixture:
    """Adds a task or a mixture under its name, and returns it.

    Raises:
      DataError: the name is taken.
    """
    if entry.name in _REGISTRY:
        raise DataError(
            f"There is a {type(_REGISTRY[entry.name]).__name__.lower()} named '{entry.name}' already: "
            "choose another name, or unregister it first."
        )
    _REGISTRY[entry.name] = entry
    return entry


def unregister(name: str) -> None:
    """Takes an entry out again."""
    get(name)
    del _REGISTRY[name]


def get(name: str) -> Task | Mixture:
    """The task or mixture of a name.

    Raises:
      DataError: an unknown name, with the nearest ones.
    """
    if name not in _REGISTRY:
        raise DataError(unknown("task or mixture", name, _REGISTRY))
    return _REGISTRY[name]


def names() -> list[str]:
    """All names, sorted."""
    return sorted(_REGISTRY)


def tasks_of(entry: Task | Mixture, data_dir: str | None = None) -> list[tuple[Task, float]]:
    """A task by itself, or the tasks of a mixture with their shares, which add up to 1. Nested mixtures are
    flattened."""
    if isinstance(entry, Task):
        return [(entry, 1.0)]
    _check_circle(entry)
    members = _members(entry)
    shares = entry.shares(
        [example_count(m, entry.limit, data_dir) for m in members] if entry.counts_examples else [0] * len(members)
    )
    flat: dict[str, tuple[Task, float]] = {}
    for member, share in zip(members, shares):
        for task, inner in tasks_of(member, data_dir):
            flat[task.name] = (task, flat.get(task.name, (task, 0.0))[1] + share * inner)
    return list(flat.values())


def _members(mixture: Mixture) -> list[Task | Mixture]:
    return [get(m) if isinstance(m, str) else m for m in mixture.members]


def _check_circle(entry: Task | Mixture, inside: tuple[str, ...] = ()) -> None:
    """Raises a DataError for a mixture that is a member of itself, however deep."""
    if isinstance(entry, Task):
        return
    if entry.name in inside:
        raise DataError(f"Mixture '{entry.name}' is a member of itself: {' → '.join([*inside, entry.name])}.")
    for member in _members(entry):
        _check_circle(member, (*inside, entry.name))


def example_count(entry: Task | Mixture, limit: float | None, data_dir: str | None) -> float:
    """How many training examples a task has; of a mixture, the sum over those it trains on of at most `limit` each."""
    counts: Iterable[float] = (len(task.raw("train", data_dir)) for task, share in tasks_of(entry, data_dir) if share)
    return sum(count if limit is None or isinstance(entry, Task) else min(count, limit) for count in counts)
