"""What every trained model has, whatever it answers with; and how it is read from the workdir of a run."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Self

import jax
import numpy as np
from flax import linen as nn

from t2t.checkpoints import best_step, read_config, read_meta, restore_params
from t2t.config import build as build_config
from t2t.data.vocabulary import Vocabulary
from t2t.data.vocabulary import load as load_vocabulary
from t2t.errors import CheckpointError
from t2t.models import ModelConfig, abstract_params
from t2t.models import build as build_model

Progress = Callable[[int, int], None]  # examples done, of how many


@dataclasses.dataclass
class Trained:
    """A model with its parameters and vocabulary.

    Attributes:
      config: of the model.
      params: unboxed.
      vocabulary: of inputs and targets.
      inputs_length: the limit it was trained with; longer inputs are cut, and it is said.
      prefix: put before every input, as in training.
      batch_size: rows of a batch.
      report: is told, in words, what a person should know.
      place: puts a batch onto devices.
    """

    config: ModelConfig
    params: Any
    vocabulary: Vocabulary
    inputs_length: int = 512
    prefix: str = ""
    batch_size: int = 32
    report: Callable[[str], None] = print
    place: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]] = staticmethod(lambda batch: batch)

    @classmethod
    def load(cls, workdir: str | pathlib.Path, step: int | str | None = None, **settings: Any) -> Self:
        """The model of a run.

        Args:
          workdir: of the run.
          step: of the checkpoint: a number, "best" (by the run's own measure), or None for the newest.
          **settings: attributes to set, e.g. batch_size.

        Raises:
          CheckpointError: no run there, no such checkpoint, a damaged one, or a vocabulary that is not the model's.
        """
        workdir = pathlib.Path(workdir).expanduser()
        run = read_config(workdir)
        config = build_config(ModelConfig, run["model"], "config.model")
        vocabulary = load_vocabulary(workdir / "vocabulary")
        check_vocabulary(config, vocabulary, workdir)
        if step == "best":
            metric = run["train"]["best_metric"]
            step = best_step(workdir / "checkpoints", metric, 1.0 if run["train"]["best_is_smallest"] else -1.0)
            if step is None:
                raise CheckpointError(
                    f"No checkpoint in {workdir} was saved with an evaluation's '{metric}', by which the run "
                    "tells its best: take the newest (no step), or name a step."
                )
        params = nn.meta.unbox(abstract_params(config))
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), params)
        params, step = restore_params(workdir / "checkpoints", params, step=step, report=settings.get("report", print))
        meta = read_meta(workdir / "checkpoints", step)
        check_fingerprint(vocabulary, workdir, meta)
        return cls(config=config, params=params, vocabulary=vocabulary, **{**cls._known(run, meta), **settings})

    @classmethod
    def _known(cls, run: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that a run's config and its checkpoint tell."""
        return {"inputs_length": run["data"]["inputs_length"], "prefix": run["data"]["prefix"]}

    @property
    def module(self) -> nn.Module:
        """The model as it scores."""
        return build_model(self.config)

    def _rows(self, count: int) -> int:
        """Rows of a batch: no more than there are examples, rounded up so that few programs are compiled."""
        return (
            min(self.batch_size, max(1 << (count - 1).bit_length(), 1))
            if self.place is Trained.place
            else self.batch_size
        )


def check_vocabulary(config: ModelConfig, vocabulary: Vocabulary, where: Any) -> None:
    """Raises CheckpointError where the vocabulary has ids that the model's table does not."""
    if vocabulary.size > config.vocab_size:
        raise CheckpointError(
            f"The vocabulary of {where} has {vocabulary.size:,} ids, and the model's table {config.vocab_size:,} "
            "rows: it is not the one the model was trained with. Restore vocabulary/ in the workdir."
        )


def check_fingerprint(vocabulary: Vocabulary, workdir: pathlib.Path, meta: Mapping[str, Any]) -> None:
    """Raises CheckpointError where a checkpoint was trained with a vocabulary other than the one beside it."""
    if meta["vocabulary"] != vocabulary.fingerprint():
        raise CheckpointError(
            f"{workdir / 'vocabulary'} is not the vocabulary that step {meta['step']} was trained with: its "
            f"fingerprint is {vocabulary.fingerprint()}, expected {meta['vocabulary']}. Restore vocabulary/ in the "
            "workdir."
        )


def fetch(arrays: Any) -> Any:
    """Device arrays as NumPy, those of other hosts' devices included."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        return jax.tree.map(lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), arrays)
    return jax.tree.map(np.asarray, arrays)
