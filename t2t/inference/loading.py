"""The model of a run, of the class that its outputs ask for."""

import pathlib
from typing import Any

from t2t.checkpoints import read_config
from t2t.inference.label_model import LabelModel
from t2t.inference.text_model import TextModel
from t2t.tasks.labelling import LABELLED


def load(workdir: str | pathlib.Path, step: int | str | None = None, **settings: Any) -> TextModel | LabelModel:
    """A `LabelModel` where the first output is a label, tags or a span, else a `TextModel`; see `Trained.load`."""
    outputs = read_config(pathlib.Path(workdir).expanduser())["model"].get("outputs", ["vocabulary"])
    kind = LabelModel if outputs and outputs[0] in LABELLED else TextModel
    return kind.load(workdir, step, **settings)
