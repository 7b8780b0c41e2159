"""A run: what is learned, by which model, and how it is trained. `configs/*.py` make these."""

import dataclasses
from typing import Literal

from t2t.data import DataConfig
from t2t.errors import ConfigError
from t2t.inference import DecodeConfig
from t2t.models import ModelConfig
from t2t.tasks.labelling import LABELLED
from t2t.training.optimizers import AdamW, OptimizerConfig
from t2t.training.schedules import ScheduleConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How devices are laid out; −1 for all that the others leave, once."""

    data: int = -1  # whole copies of the parameters, each on its share of the batch
    fsdp: int = 1  # shares of the batch too, with the parameters split among them
    tensor: int = 1  # every matrix product split

    def __post_init__(self):
        sizes = (self.data, self.fsdp, self.tensor)
        if any(s < 1 and s != -1 for s in sizes) or sizes.count(-1) > 1:
            raise ConfigError(
                f"mesh: expected sizes of at least 1, at most one of them −1 (all that is left), found {sizes}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained."""

    steps: int = 10_000
    batch_size: int = 64  # rows over all devices
    microbatches: int = 1  # a batch is computed in so many parts, whose gradients add up to those of the whole
    seed: int = 0

    optimizer: OptimizerConfig = AdamW()
    schedule: ScheduleConfig = ScheduleConfig()
    clip_norm: float = 1.0  # of all gradients together; 0 for none
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    loss_normaliser: float = 0.0  # divide the summed loss by this, as T5X may; 0 for the number of target tokens
    prng: Literal["threefry2x32", "rbg"] = "threefry2x32"  # of dropout; rbg is faster, but depends on the mesh
    bad_steps: int = 20  # stop after so many steps in a row whose gradients are not finite

    mesh: MeshConfig = MeshConfig()

    log_every: int = 1
    eval_every: int = 1000  # 0: only at the end
    eval_examples: int = 256  # of each task during training; at the end all. 0 for all
    final_eval_examples: int = 0  # at the end; 0 for all
    checkpoint_every: int = 1000  # 0: only at the end
    keep: int = 3  # newest checkpoints; the best is kept besides
    best_metric: str = "loss"  # of the evaluation that is at the same step as a checkpoint
    best_is_smallest: bool = True

    def __post_init__(self):
        for name in ("steps", "batch_size", "microbatches", "log_every", "keep", "bad_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        for name in (
            "eval_every",
            "checkpoint_every",
            "eval_examples",
            "final_eval_examples",
            "clip_norm",
            "z_loss",
            "loss_normaliser",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, found {getattr(self, name)}.")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing: expected a rate in [0, 1), found {self.label_smoothing}.")
        if self.batch_size % self.microbatches:
            raise ConfigError(f"batch_size {self.batch_size} is not divisible by microbatches {self.microbatches}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that a run depends on. What it learns from is a registered `task`, or files in `data.train`."""

    task: str = ""
    data: DataConfig = DataConfig()
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    init_from: str = ""  # what to start from, with its vocabulary: the workdir of a run, or a folder in Hugging Face's
    # format, which gives the model too, but for how it is trained and laid out, `outputs` and `labels`

    def check(self) -> None:
        """Raises ConfigError where the run could not start whatever the data is."""
        if bool(self.task) == bool(self.data.train):
            found = f"both task '{self.task}' and data.train '{self.data.train}'" if self.task else "neither"
            raise ConfigError(
                f"Expected a task or a training file, found {found}: give --config.task=NAME (launch/tasks.py lists "
                "them) or --config.data.train=FILE."
            )
        self._check_memory()
        self._check_outputs()
        self.decode.of(self.model)

    def _check_outputs(self) -> None:
        """Holds what is read off the states and the data it needs together."""
        outputs, learned = self.model.outputs, ("vocabulary", *LABELLED)
        if not outputs or outputs[0] not in learned:
            raise ConfigError(
                f"A run learns the first of model.outputs, one of {', '.join(learned)}, found {outputs}: put it first."
            )
        if self.data.labels and (outputs[0] not in ("sequence", "tagging") or self.model.gives_number):
            raise ConfigError(
                f"data.labels are of model.outputs ('sequence',) and ('tagging',), found {outputs} with model.labels "
                f"{self.model.labels}: set data.labels to (), or model.outputs to one of them and model.labels to 0."
            )
        if outputs[0] == "vocabulary":
            return
        if self.data.packing:
            raise ConfigError(
                f"data.packing puts several examples into a row, and model.outputs {outputs} answer one a row: set "
                "data.packing to False."
            )
        if self.data.consecutive:
            raise ConfigError(
                f"data.consecutive reads texts segment by segment, and model.outputs {outputs} answer them whole: set "
                "data.consecutive to False."
            )
        if self.model.gives_number and (self.train.label_smoothing or self.train.z_loss):
            raise ConfigError(
                "train.label_smoothing and train.z_loss are of classes, found model.labels 1, which is a number: set "
                "them to 0."
            )

    def _check_memory(self) -> None:
        """Holds a memory and the data it needs together."""
        model, data = self.model, self.data
        remembering = [type(m).__name__ for m in model.decoder_mechanisms if model.decoder_layers and m.remembers]
        if model.architecture != "decoder" and (remembering or data.consecutive):
            raise ConfigError(
                f"Memories and consecutive segments are of decoders alone, found model.architecture "
                f"'{model.architecture}' with "
                + (f"{remembering[0]}: set its memory to 0." if remembering else "data.consecutive: set it to False.")
            )
        if remembering and not data.consecutive and model.outputs[:1] == ("vocabulary",):
            raise ConfigError(
                f"{remembering[0]} remembers the segments before, which must then be consecutive: set "
                "data.consecutive to True, data.packing to False and data.targets_length to the length of a segment; "
                "or its memory to 0."
            )
