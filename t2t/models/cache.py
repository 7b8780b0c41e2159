"""What a decoder keeps between steps of incremental decoding: a pytree that goes in and comes out.

What a layer's mechanism keeps is the mechanism's own (keys and values, a window of them, running sums): here it is a
pytree of arrays with the batch in front, of which rows are taken. Scalars, such as the index of the next slot to write,
and `Shared` arrays hold for all rows and stay as they are: whatever differs between rows has the batch axis.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.cache import Shared
from t2t.layers import LayerCache, init_layer_caches
from t2t.layers.attention import sizes_of
from t2t.models.config import ModelConfig


@flax.struct.dataclass
class Cache:
    """The caches of all layers, and where each row stands.

    Attributes:
      layers: a `LayerCache` for each layer; where the layers are scanned, one for each of the mechanisms that take
        turns, with the axis of its layers in front of all others.
      lengths: int32 [b], real tokens so far; the next token's position.
      room: how many positions there is room for in all; None where there is no end, between segments of training.
      batch_axis: where the batch stands in the arrays of `layers`: 0, or 1 where they are scanned.
      encoded_segments: int32 [b m] of the encoder's output; None in decoder-only models and before the first step.
    """

    layers: tuple[LayerCache, ...]
    lengths: jax.Array
    room: int | None = flax.struct.field(pytree_node=False)
    batch_axis: int = flax.struct.field(pytree_node=False)
    encoded_segments: jax.Array | None = None


def init_cache(config: ModelConfig, batch: int, length: int) -> Cache:
    """An empty cache for `batch` rows with room for `length` positions, padding of prompts included."""
    return _empty(config, batch, length, lambda mechanism, *sizes: mechanism.init_state(batch, length, *sizes))


def init_memory(config: ModelConfig, batch: int) -> Cache:
    """What a decoder, or an encoder, keeps between consecutive segments of training, before the first.

    It is for stacks that stand alone: the examples of an encoder-decoder stand by themselves; only its decoding has
    memories.
    """
    return _empty(config, batch, None, lambda mechanism, *sizes: mechanism.init_memory(batch, *sizes))


def memory_loss(memory: Cache) -> jax.Array:
    """What the mechanisms of all layers add to the loss of training, a float32 scalar."""
    return sum((jnp.sum(layer.attention.loss) for layer in memory.layers if layer.attention is not None), jnp.zeros(()))


def _empty(config: ModelConfig, batch: int, room: int | None, state_of: Callable[..., Any]) -> Cache:
    sizes = sizes_of(config), config.compute_dtype
    side = "encoder" if config.architecture == "encoder" else "decoder"
    return Cache(
        layers=init_layer_caches(
            lambda mechanism: state_of(mechanism, *sizes),
            getattr(config, f"{side}_mechanisms"),
            getattr(config, f"{side}_layers"),
            config.stacking,
        ),
        lengths=jnp.zeros((batch,), jnp.int32),
        room=room,
        batch_axis=int(config.stacking == "scanned"),
    )


def reorder(cache: Cache, index: jax.Array) -> Cache:
    """The cache with rows `index` int [b'] of the batch, in that order."""
    return over_batch(lambda x, axis: jnp.take(x, index, axis=axis), cache)


def reorder_beams(cache: Cache, index: jax.Array) -> Cache:
    """`reorder` where every row is replaced by one of the same input, as in beam search: what comes of the encoder is
    the same for all of these and is left as it is, which saves most of the copying."""
    own = tuple(layer.replace(cross=None) for layer in cache.layers)
    moved = reorder(cache.replace(layers=own, encoded_segments=None), index)
    layers = tuple(layer.replace(cross=old.cross) for layer, old in zip(moved.layers, cache.layers))
    return moved.replace(layers=layers, encoded_segments=cache.encoded_segments)


def repeat(cache: Cache, times: int) -> Cache:
    """The cache with every row `times` times in a row: [b …] → [b·times …]."""
    return over_batch(lambda x, axis: jnp.repeat(x, times, axis=axis), cache)


def over_batch(
    function: Callable[..., Any], cache: Cache, *others: Cache, scalars: Callable[..., Any] = lambda x, *others: x
) -> Cache:
    """Applies a function to every array and its batch axis.

    Args:
      function: (array, those of `others`, batch axis) → what stands in its place.
      others: caches like `cache`, whose arrays may have other shapes.
      scalars: applied to what has no batch axis: scalars and `Shared` arrays.
    """

    def on(axis, *trees):
        def leaf(x, *rest):
            return scalars(x, *rest) if isinstance(x, Shared) or x.ndim <= axis else function(x, *rest, axis)

        return jax.tree.map(leaf, *trees, is_leaf=lambda x: isinstance(x, Shared))

    caches = (cache, *others)
    layers = on(cache.batch_axis, *(c.layers for c in caches))
    return on(0, *(c.replace(layers=None) for c in caches)).replace(layers=layers)
