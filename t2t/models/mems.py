"""`mems`, as transformers gives and takes them: what every layer was given, of the segments before, [m b d] each."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from t2t.attention.memories import HiddenMemory
from t2t.errors import DataError
from t2t.layers import LayerCache
from t2t.models.cache import Cache, init_memory
from t2t.models.config import ModelConfig

Mems = Sequence[jax.Array]


def memory_of(mems: Mems | None, config: ModelConfig, rows: int) -> Cache | None:
    """The memory that these are, or that a model begins with; None where that holds nothing."""
    mechanisms = _mechanisms(config)
    if mems is None:
        return init_memory(config, rows) if any(_begins_with(m) for m in mechanisms) else None
    if len(mems) != len(mechanisms) or any(x.shape[1:] != (rows, config.width) for x in mems):
        raise DataError(
            f"mems: expected {len(mechanisms)} arrays [length, {rows}, {config.width}], found "
            f"{[tuple(x.shape) for x in mems]}: give those of the call before."
        )
    layers, turns = [], len(mechanisms) if config.stacking == "unrolled" else len(_turns(config))
    for mechanism, given in zip(mechanisms, mems):
        hidden = jnp.moveaxis(jnp.asarray(given, config.compute_dtype), 0, 1)
        empty = max(_begins_with(mechanism) - hidden.shape[1], 0)
        hidden = jnp.pad(hidden, ((0, 0), (empty, 0), (0, 0)))
        segments = jnp.broadcast_to((jnp.arange(hidden.shape[1]) >= empty).astype(jnp.int32), hidden.shape[:2])
        layers.append(LayerCache(attention=HiddenMemory(hidden, segments, jnp.zeros((), jnp.float32))))
    scanned = config.stacking == "scanned"
    if scanned:
        layers = [jax.tree.map(lambda *x: jnp.stack(x), *layers[i::turns]) for i in range(turns)]
    return Cache(tuple(layers), lengths=jnp.zeros((rows,), jnp.int32), room=None, batch_axis=int(scanned))


def remembers(config: ModelConfig) -> bool:
    """Whether there are mems after a segment."""
    return all(mechanism.kept != 0 for mechanism in _mechanisms(config))


def mems_after(mems: Mems | None, states: Mems, config: ModelConfig) -> tuple[jax.Array, ...]:
    """The mems after a segment.

    Args:
      mems: those before, if any were given.
      states: [b n d], what each layer was given.
    """
    found = []
    for i, (mechanism, x) in enumerate(zip(_mechanisms(config), states)):
        new = jnp.moveaxis(x, 1, 0)[: getattr(mechanism, "reuse", None)]
        old = jnp.zeros((_begins_with(mechanism), *new.shape[1:]), new.dtype) if mems is None else mems[i]
        found.append(jnp.concatenate([old, new])[-(mechanism.kept or 0) :])
    return tuple(found)


def _turns(config: ModelConfig) -> tuple[Any, ...]:
    return config.encoder_mechanisms if config.architecture == "encoder" else config.decoder_mechanisms


def _mechanisms(config: ModelConfig) -> tuple[Any, ...]:
    """That of each layer."""
    turns, layers = _turns(config), config.encoder_layers + config.decoder_layers
    return tuple(turns[i % len(turns)] for i in range(layers))


def _begins_with(mechanism: Any) -> int:
    """How many states of zero it sees in its first segment."""
    return mechanism.memory if getattr(mechanism, "zeros", False) else 0
