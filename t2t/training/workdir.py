"""The folder of a run: its resolved config, which a run that continues must share, and its vocabulary."""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import jax

from t2t.checkpoints import read_config
from t2t.checkpoints.digests import write_atomically
from t2t.config import as_dict, difference
from t2t.data import Vocabulary
from t2t.data import vocabulary as vocabularies
from t2t.errors import CheckpointError, ConfigError
from t2t.tasks import Task
from t2t.training.config import RunConfig

DEFAULT_VOCABULARY = "sentencepiece:8000"

# What may change when a run continues: how long, how often, how it is shown, laid out and decoded, but not what it
# computes.
# A schedule that decays until the last step decays until the new one.
MAY_CHANGE = (
    "train.steps",
    "train.log_every",
    "train.eval_every",
    "train.eval_examples",
    "train.final_eval_examples",
    "train.checkpoint_every",
    "train.keep",
    "train.best_metric",
    "train.best_is_smallest",
    "train.bad_steps",
    "train.mesh",
    "data.workers",
    "data.prefetch",
    "data.data_dir",
    "decode",
)
SAMPLE = 1_000_000  # texts that a vocabulary is trained on at most


def check_config(workdir: pathlib.Path, config: RunConfig) -> None:
    """Raises CheckpointError where the workdir holds a run of another config, with every field that differs."""
    if not (workdir / "config.json").is_file():
        return
    saved = read_config(workdir)
    new = as_dict(config)
    if not new["model"]["vocab_size"]:
        saved["model"]["vocab_size"] = 0  # filled in by the run
    changed = {
        name: pair
        for name, pair in difference(new, saved).items()
        if not any(name == m or name.startswith(m + ".") for m in MAY_CHANGE)
    }
    if changed:
        lines = [f"  {name}: {old!r} in the workdir, {value!r} now" for name, (old, value) in changed.items()]
        raise CheckpointError(
            f"{workdir} holds a run of a different config:\n"
            + "\n".join(lines)
            + "\nUse another --workdir, or the config it was made with."
        )


def save_config(workdir: pathlib.Path, config: RunConfig) -> None:
    """Writes the resolved config."""
    write_atomically(workdir / "config.json", json.dumps(as_dict(config), indent=2) + "\n")


def resolve_vocabulary(workdir: pathlib.Path, config: RunConfig, tasks: list[Task], say: Any) -> Vocabulary:
    """The vocabulary of a run: the one in its workdir if it has begun; else the one its config names, or one trained on
    the inputs and targets of its tasks; and it is kept in the workdir."""
    folder = workdir / "vocabulary"
    if (folder / "vocabulary.json").is_file():
        return vocabularies.load(folder)
    name = config.data.vocabulary or _own_vocabulary(tasks)
    if config.init_from:
        say(f"The vocabulary is that of {config.init_from}.")
        begun = pathlib.Path(config.init_from).expanduser()
        of_run = (begun / "vocabulary").is_dir()
        found = vocabularies.load(begun / "vocabulary") if of_run else vocabularies.from_folder(begun)
    elif (found := vocabularies.from_name(name)) is None:
        say(f"Training a vocabulary of {vocabularies.trained_size(name):,} pieces on the training texts …")
        found = vocabularies.train_sentencepiece(
            training_texts(tasks, config.data.data_dir),
            vocabularies.trained_size(name),
            model_type=vocabularies.TRAINED[name.split(":")[0]],
        )
    if jax.process_index() == 0:
        found.save(folder)
    return found


def _own_vocabulary(tasks: list[Task]) -> str:
    """The name of the vocabulary that tasks ask for.

    Raises:
      ConfigError: they ask for several.
    """
    names = sorted({task.vocabulary for task in tasks if task.vocabulary})
    if len(names) > 1:
        raise ConfigError(f"The tasks have vocabularies of their own, {', '.join(names)}: choose data.vocabulary.")
    return names[0] if names else DEFAULT_VOCABULARY


def training_texts(tasks: list[Task], data_dir: str | None) -> Iterable[str]:
    """Inputs and targets of the tasks' training splits, an even sample where there are very many."""
    import numpy as np

    for task in tasks:
        raw = task.raw("train", data_dir)
        share = SAMPLE // len(tasks)
        # A generated task has no end; what its vocabulary needs shows soon.
        step = max(len(raw) // share, 1) if len(raw) < SAMPLE else len(raw) // 20_000
        for i in range(0, len(raw), step):
            text = task.text(raw[i], np.random.default_rng(i))
            if text is not None:
                yield text["inputs"]
                yield text["targets"]
