"""One step of training: gradients of a batch, and the update they make. Everything is in one compiled program."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from t2t.models import Cache, first, memory_loss, over_batch
from t2t.objectives.losses import cross_entropy, of_log_probabilities, squared_error
from t2t.training.config import TrainConfig


@flax.struct.dataclass
class TrainState:
    """What changes from step to step.

    Attributes:
      step: int32, how many batches have been trained on, skipped ones among them.
      params: float32.
      optimizer: Optax's state.
      skipped, bad_in_a_row: int32, steps whose gradients were not finite: in all, and just now one after the other.
      memory: what the model keeps of the segments before (`models.init_memory`); None where it keeps nothing.
    """

    step: jax.Array
    params: Any
    optimizer: Any
    skipped: jax.Array
    bad_in_a_row: jax.Array
    memory: Cache | None = None


def new_state(params: Any, transform: optax.GradientTransformation, memory: Cache | None = None) -> TrainState:
    """The state before the first step."""

    def zero():
        return jnp.zeros((), jnp.int32)

    return TrainState(
        step=zero(),
        params=params,
        optimizer=transform.init(params),
        skipped=zero(),
        bad_in_a_row=zero(),
        memory=memory,
    )


def make_train_step(
    model: nn.Module, transform: optax.GradientTransformation, schedule: Callable, config: TrainConfig
) -> Callable[[TrainState, Mapping[str, jax.Array]], tuple[TrainState, dict]]:
    """The function (state, batch) → (state, metrics), to be jitted with the state donated.

    The loss is a sum over target tokens, divided by their number in the whole batch, over all devices and microbatches.
    Dropout draws from (seed, step, microbatch): a resumed run draws what an uninterrupted one would have. A step whose
    gradients are not finite changes neither parameters nor the optimizer's state, and leaves an empty memory.
    """

    def loss_sum(params, batch, key, memory):
        given = () if memory is None else (memory,)
        found = model.apply({"params": params}, batch, *given, rngs={"dropout": key}, method="outputs")
        logits, memory = first(model.config, found), found.get("memory")
        targets, weights = batch["targets"], batch["loss_weights"]
        if model.config.gives_number:
            loss, sums = squared_error(logits[..., 0], targets, weights)
        elif "of_targets" in found and not config.label_smoothing:
            loss, sums = of_log_probabilities(*found["of_targets"], weights)
        else:
            loss, sums = cross_entropy(
                logits, targets, weights, z_loss=config.z_loss, label_smoothing=config.label_smoothing
            )
        if memory is not None:
            loss = loss + memory_loss(memory) * sums["weights"]
        return loss, (sums, memory)

    def gradients_of(params, batch, key, memory):
        """(The loss, sums of metrics, gradients), and the memory after the batch."""
        (loss, (sums, memory)), gradients = jax.value_and_grad(loss_sum, has_aux=True)(params, batch, key, memory)
        return (loss, sums, gradients), memory

    def accumulated(params, batch, key, memory):
        """The sums of losses, metrics and gradients over the microbatches, and the memory after them."""
        if config.microbatches == 1:
            return gradients_of(params, batch, key, memory)
        # Rows i, i + m, i + 2m … make microbatch i, so that every device keeps its own rows.
        parts = jax.tree.map(lambda x: split_rows(x, config.microbatches, 0), batch)
        memories = None if memory is None else split_memory(memory, config.microbatches)
        keys = jax.random.split(key, config.microbatches)
        first = jax.tree.map(lambda x: x[0], (parts, key[None], memories))
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradients_of, params, *first)[0])

        def add(total, part):
            sums, memory = gradients_of(params, *part)
            return jax.tree.map(jnp.add, total, sums), memory

        total, memories = jax.lax.scan(add, zero, (parts, keys, memories))
        return total, None if memory is None else join_memory(memory, memories)

    def train_step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(config.seed, impl=config.prng), state.step)
        (loss, sums, gradients), memory = accumulated(state.params, batch, key, state.memory)
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
            memory=jax.tree.map(lambda x: jnp.where(finite, x, jnp.zeros_like(x)), memory),
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


def split_rows(x: jax.Array, parts: int, axis: int) -> jax.Array:
    """An array as so many parts in front, rows i, i + parts, … of its batch axis in part i."""
    return jnp.moveaxis(x.reshape(*x.shape[:axis], -1, parts, *x.shape[axis + 1 :]), axis + 1, 0)


def split_memory(memory: Cache, parts: int) -> Cache:
    """`split_rows` of a memory; what has no rows is repeated."""
    return over_batch(
        lambda x, axis: split_rows(x, parts, axis),
        memory,
        scalars=lambda x: jnp.broadcast_to(x, (parts, *x.shape)),
    )


def join_memory(memory: Cache, parts: Cache) -> Cache:
    """The inverse of `split_memory`, shaped like `memory`; of what has no rows, the mean."""
    return over_batch(
        lambda x, split, axis: jnp.moveaxis(split, 0, axis + 1).reshape(x.shape),
        memory,
        parts,
        scalars=lambda x, split: split.mean(0).astype(x.dtype),
    )
