"""Training: configs, the step, the loop, optimizers, schedules, sharding, reporting and accounting."""

from t2t.training.config import MeshConfig, RunConfig, TrainConfig
from t2t.training.distributed import Interrupted, initialise
from t2t.training.loop import train
from t2t.training.optimizers import Adafactor, AdamW
from t2t.training.schedules import ScheduleConfig

__all__ = [
    "Adafactor",
    "AdamW",
    "Interrupted",
    "MeshConfig",
    "RunConfig",
    "ScheduleConfig",
    "TrainConfig",
    "initialise",
    "train",
]
