"""t2t: the JAX/Flax home for text-to-text transformer research.

import t2t
model = t2t.load("runs/mine")            # a run, or a folder in Hugging Face's format
model.generate(["a prompt"])
t2t.save(model, "exported")              # of a folder's model: transformers loads it
qa = t2t.pipeline("question-answering", "a folder"); qa(question="Who?", context="It was Ada.")["answer"]
"""

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "load", "pipeline", "save"]


def load(folder: str, step: int | str | None = None, **settings: Any):
    """A model: of a run's workdir a `t2t.inference.TextModel`, or a `LabelModel` that predicts (see `inference.load`);
    of a folder in Hugging Face's format a `t2t.pretrained.Pretrained` (see `t2t.pretrained.load`).

    Args:
      step: of a run's checkpoint.
    """
    from t2t import folders

    if not folders.is_folder(folder):
        from t2t import inference

        return inference.load(folder, step, **settings)
    from t2t import pretrained
    from t2t.errors import DataError

    if step is not None:
        raise DataError(f"step {step!r} is of a run's checkpoints, found {folder}, one model: leave it out.")
    return pretrained.load(folder, **settings)


def save(model: Any, folder: str, **options: Any) -> None:
    """Writes a `t2t.pretrained.Pretrained` as a folder that transformers loads; see `t2t.pretrained.save`."""
    from t2t import pretrained

    pretrained.save(model, folder, **options)


def pipeline(task: str, model: Any, **options: Any):
    """A published model that does a task, such as "question-answering"; see `t2t.pipelines.pipeline`."""
    from t2t.pipelines import pipeline as make

    return make(task, model, **options)
