"""What there is to learn: tasks, mixtures, their registry, and those that are built in."""

from t2t.tasks.metrics import METRICS
from t2t.tasks.mixture import Mixture
from t2t.tasks.objective import Objective
from t2t.tasks.registry import get, names, register, tasks_of, unregister
from t2t.tasks.task import Task

from t2t.tasks import embedded, images, t5  # isort: skip  (they register)
from t2t.tasks.from_files import from_files

__all__ = [
    "METRICS",
    "Mixture",
    "Objective",
    "Task",
    "embedded",
    "from_files",
    "get",
    "images",
    "names",
    "register",
    "t5",
    "tasks_of",
    "unregister",
]
