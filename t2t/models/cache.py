"""What a decoder keeps between steps of incremental decoding: a pytree that goes in and comes out.

What a layer's mechanism keeps is the mechanism's own (keys and values, a window of them, running sums): here it is a
pytree of arrays with the batch in front, of which rows are taken. Scalars, such as the index of the next slot to write,
and `Shared` arrays hold for all rows and stay as they are: whatever differs between rows has the batch axis.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.cache import Shared
from t2t.layers import LayerCache, init_layer_caches
from t2t.models.config import ModelConfig


@flax.struct.dataclass
class Cache:
    """The caches of all layers, and where each row stands.

    Attributes:
      layers: a `LayerCache` for each layer; where the layers are scanned, one for each of the mechanisms that take
        turns, with the axis of its layers in front of all others.
      lengths: int32 [b], real tokens so far; the next token's position.
      room: how many positions there is room for in all.
      batch_axis: where the batch stands in the arrays of `layers`: 0, or 1 where they are scanned.
      encoded_segments: int32 [b m] of the encoder's output; None in decoder-only models and before the first step.
    """

    layers: tuple[LayerCache, ...]
    lengths: jax.Array
    room: int = flax.struct.field(pytree_node=False)
    batch_axis: int = flax.struct.field(pytree_node=False)
    encoded_segments: jax.Array | None = None


def init_cache(config: ModelConfig, batch: int, length: int) -> Cache:
    """An empty cache for `batch` rows with room for `length` positions, padding of prompts included."""
    return Cache(
        layers=init_layer_caches(
            config, config.decoder_mechanisms, config.decoder_layers, batch, length, config.stacking
        ),
        lengths=jnp.zeros((batch,), jnp.int32),
        room=length,
        batch_axis=int(config.stacking == "scanned"),
    )


def reorder(cache: Cache, index: jax.Array) -> Cache:
    """The cache with rows `index` int [b'] of the batch, in that order."""
    return _over_batch(lambda x, axis: jnp.take(x, index, axis=axis), cache)


def reorder_beams(cache: Cache, index: jax.Array) -> Cache:
    """`reorder` where every row is replaced by one of the same input, as in beam search: what comes of the encoder is
    the same for all of these and is left as it is, which saves most of the copying."""
    own = tuple(layer.replace(cross=None) for layer in cache.layers)
    moved = reorder(cache.replace(layers=own, encoded_segments=None), index)
    layers = tuple(layer.replace(cross=old.cross) for layer, old in zip(moved.layers, cache.layers))
    return moved.replace(layers=layers, encoded_segments=cache.encoded_segments)


def repeat(cache: Cache, times: int) -> Cache:
    """The cache with every row `times` times in a row: [b …] → [b·times …]."""
    return _over_batch(lambda x, axis: jnp.repeat(x, times, axis=axis), cache)


def _over_batch(function: Callable[[jax.Array, int], jax.Array], cache: Cache) -> Cache:
    """Applies `function` to every array and its batch axis; scalars and `Shared` arrays, which have none, stay."""

    def is_shared(x):
        return isinstance(x, Shared)

    def on(tree, axis):
        return jax.tree.map(
            lambda x: x if is_shared(x) or x.ndim <= axis else function(x, axis), tree, is_leaf=is_shared
        )

    return on(cache.replace(layers=None), 0).replace(layers=on(cache.layers, cache.batch_axis))
