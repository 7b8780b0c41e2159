"""The labels of a run whose model answers with them: the task's, the config's, or those that its targets hold."""

import dataclasses
import pathlib

from t2t.checkpoints import read_config
from t2t.data.sources import Mapped
from t2t.errors import ConfigError, DataError
from t2t.tasks import Task
from t2t.tasks.labelling import LABELLED, Labelling, labelling_of, read_labels
from t2t.training.config import RunConfig


def with_labels(config: RunConfig, tasks: list[Task], workdir: pathlib.Path) -> RunConfig:
    """The config with `data.labels` and `model.labels` filled in, those of a run that has begun as they were.

    Raises:
      ConfigError: `model.labels` is another number than there are labels.
      DataError: targets that are no labels.
    """
    output = (*config.model.outputs, "")[0]
    if output not in ("sequence", "tagging") or config.model.gives_number:
        return config
    labels, source = _found(config, tasks, workdir, output)
    if config.model.labels not in (0, len(labels)):
        shown = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")
        raise ConfigError(
            f"model.labels is {config.model.labels}, and {source} has {len(labels)} labels ({shown}): set model.labels "
            f"to {len(labels)}, or to 0 to have it filled in."
        )
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, labels=labels),
        model=dataclasses.replace(config.model, labels=len(labels)),
    )


def labelling(config: RunConfig) -> Labelling | None:
    """What the model learns of examples; None where it learns text."""
    output = (*config.model.outputs, "")[0]
    if output not in LABELLED:
        return None
    return labelling_of(output, config.data.labels, length=config.data.inputs_length, stride=config.data.stride)


def _found(config: RunConfig, tasks: list[Task], workdir: pathlib.Path, output: str) -> tuple[tuple[str, ...], str]:
    """The labels, and where they are from."""
    if config.data.labels:
        return config.data.labels, "data.labels"
    if (workdir / "config.json").is_file() and (begun := read_config(workdir)["data"].get("labels")):
        return tuple(begun), str(workdir)
    found: dict[str, None] = {}
    for task in tasks:
        found |= dict.fromkeys(task.labels or _read(task, output, config.data.data_dir))
    return tuple(found), f"task '{tasks[0].name}'" if len(tasks) == 1 else "the mixture"


def _read(task: Task, output: str, data_dir: str | None) -> tuple[str, ...]:
    """The labels in the targets that a task trains on."""
    if "train" not in task.splits:
        return ()
    try:
        return read_labels(Mapped(task.raw("train", data_dir), task.targets), output)
    except DataError as error:
        raise DataError(f"Task '{task.name}': {error}") from None
