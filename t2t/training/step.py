"""One step of training: gradients of a batch, and the update they make. Everything is in one compiled program."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from t2t.objectives.losses import cross_entropy
from t2t.training.config import TrainConfig


@flax.struct.dataclass
class TrainState:
    """What changes from step to step.

    Attributes:
      step: int32, how many batches have been trained on, skipped ones among them.
      params: float32.
      optimizer: Optax's state.
      skipped, bad_in_a_row: int32, steps whose gradients were not finite: in all, and just now one after the other.
    """

    step: jax.Array
    params: Any
    optimizer: Any
    skipped: jax.Array
    bad_in_a_row: jax.Array


def new_state(params: Any, transform: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""

    def zero():
        return jnp.zeros((), jnp.int32)

    return TrainState(step=zero(), params=params, optimizer=transform.init(params), skipped=zero(), bad_in_a_row=zero())


def make_train_step(
    model: nn.Module, transform: optax.GradientTransformation, schedule: Callable, config: TrainConfig
) -> Callable[[TrainState, Mapping[str, jax.Array]], tuple[TrainState, dict]]:
    """The function (state, batch) → (state, metrics), to be jitted with the state donated.

    The loss is a sum over target tokens, divided by their number in the whole batch, over all devices and microbatches.
    Dropout draws from (seed, step, microbatch): a resumed run draws what an uninterrupted one would have. A step whose
    gradients are not finite changes neither parameters nor the optimizer's state.
    """

    def loss_sum(params, batch, key):
        logits = model.apply({"params": params}, batch, rngs={"dropout": key})
        return cross_entropy(
            logits,
            batch["targets"],
            batch["loss_weights"],
            z_loss=config.z_loss,
            label_smoothing=config.label_smoothing,
        )

    gradients_of = jax.value_and_grad(loss_sum, has_aux=True)

    def accumulated(params, batch, key):
        """The sums of losses, metrics and gradients over the microbatches."""
        if config.microbatches == 1:
            return gradients_of(params, batch, key)
        # Rows i, i + m, i + 2m … make microbatch i, so that every device keeps its own rows.
        parts = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, config.microbatches, *x.shape[1:]), 1, 0), batch)
        keys = jax.random.split(key, config.microbatches)
        zero = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype),
            jax.eval_shape(gradients_of, params, jax.tree.map(lambda x: x[0], parts), key),
        )
        return jax.lax.scan(
            lambda total, part: (jax.tree.map(jnp.add, total, gradients_of(params, *part)), None), zero, (parts, keys)
        )[0]

    def train_step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(config.seed, impl=config.prng), state.step)
        (loss, sums), gradients = accumulated(state.params, batch, key)
        tokens = jnp.maximum(sums["weights"], 1.0)
        normaliser = config.loss_normaliser or tokens
        norm = optax.tree.norm(gradients) / normaliser
        finite = jnp.isfinite(norm) & jnp.isfinite(loss)
        scale = 1.0 / normaliser
        if config.clip_norm:
            scale = scale * jnp.minimum(1.0, config.clip_norm / jnp.maximum(norm, 1e-12))

        def update(params, optimizer):
            updates, optimizer = transform.update(jax.tree.map(lambda g: g * scale, gradients), optimizer, params)
            return optax.apply_updates(params, updates), optimizer

        params, optimizer = jax.lax.cond(finite, update, lambda *unchanged: unchanged, state.params, state.optimizer)
        bad = 1 - finite.astype(jnp.int32)
        new = TrainState(
            step=state.step + 1,
            params=params,
            optimizer=optimizer,
            skipped=state.skipped + bad,
            bad_in_a_row=(state.bad_in_a_row + 1) * bad,
        )
        metrics = {
            "loss": sums["nll"] / tokens,
            "objective": loss / normaliser,
            "accuracy": sums["correct"] / tokens,
            "gradient_norm": norm,
            "learning_rate": schedule(state.step),
            "target_tokens": sums["weights"],
            "skipped": new.skipped,
            "bad_in_a_row": new.bad_in_a_row,
        }
        return new, metrics

    return train_step
