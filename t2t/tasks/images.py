"""Images as sequences of numbers, row by row and channel by channel, to be learned like text (Child et al. 2019,
section 7). They are read from TFDS; the vocabulary is "pixels"."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2t.data.sources import TfdsSource
from t2t.tasks.objective import Objective
from t2t.tasks.registry import register
from t2t.tasks.task import Task


def pixels(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """`image`, uint8 [height width channels], as text: a character from 0 to 255 for each number."""
    return {"targets": np.asarray(example["image"], np.uint8).tobytes().decode("latin-1")}


for _name, _dataset, _splits in (
    ("cifar10_pixels", "cifar10:3.0.2", {"train": "train[:96%]", "validation": "train[96%:]", "test": "test"}),
    ("imagenet64_pixels", "downsampled_imagenet/64x64:2.0.0", {"train": "train", "validation": "validation"}),
):
    register(
        Task(
            name=_name,
            source=TfdsSource(_dataset, _splits),
            preprocessors=(pixels,),
            objective=Objective(kind="causal_lm", documents=True),
            vocabulary="pixels",
        )
    )
