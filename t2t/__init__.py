"""t2t: the JAX/Flax home for text-to-text transformer research.

import t2t
model = t2t.load("runs/mine")
model.generate(["a prompt"])
"""

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "load"]


def load(workdir: str, step: int | str | None = None, **settings: Any):
    """The model of a run as a `t2t.inference.TextModel`; see `TextModel.load`."""
    from t2t.inference import TextModel

    return TextModel.load(workdir, step, **settings)
