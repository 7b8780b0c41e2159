"""What a decoder keeps between steps of incremental decoding: a pytree that goes in and comes out."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from t2t.layers import LayerCache, init_layer_caches
from t2t.models.config import ModelConfig


@flax.struct.dataclass
class Cache:
    """The caches of all layers, and where each row stands.

    Attributes:
      layers: a tuple of `LayerCache`, or one with a leading layers axis where the layers are scanned.
      lengths: int32 [b], real tokens so far; the next token's position.
      encoded_segments: int32 [b m] of the encoder's output; None in decoder-only models and before the first step.
    """

    layers: Any
    lengths: jax.Array
    encoded_segments: jax.Array | None = None

    @property
    def room(self) -> int:
        """How many positions there is room for in all."""
        layers = self.layers if isinstance(self.layers, LayerCache) else self.layers[0]
        return layers.attention.key.shape[-3]


def init_cache(config: ModelConfig, batch: int, length: int) -> Cache:
    """An empty cache for `batch` rows with room for `length` positions, padding of prompts included."""
    layers = init_layer_caches(config, config.decoder_layers, batch, length, config.stacking)
    return Cache(layers=layers, lengths=jnp.zeros((batch,), jnp.int32))


def reorder(cache: Cache, index: jax.Array) -> Cache:
    """The cache with rows `index` int [b'] of the batch, in that order."""
    return _over_batch(lambda x: jnp.take(x, index, axis=0), cache)


def reorder_beams(cache: Cache, index: jax.Array) -> Cache:
    """`reorder` where every row is replaced by one of the same input, as in beam search: what comes of the encoder is
    the same for all of these and is left as it is, which saves most of the copying."""

    def is_layer(x):
        return isinstance(x, LayerCache)

    own = jax.tree.map(lambda layer: layer.replace(cross=None), cache.layers, is_leaf=is_layer)
    moved = reorder(cache.replace(layers=own, encoded_segments=None), index)
    layers = jax.tree.map(
        lambda layer, old: layer.replace(cross=old.cross), moved.layers, cache.layers, is_leaf=is_layer
    )
    return moved.replace(layers=layers, encoded_segments=cache.encoded_segments)


def repeat(cache: Cache, times: int) -> Cache:
    """The cache with every row `times` times in a row: [b …] → [b·times …]."""
    return _over_batch(lambda x: jnp.repeat(x, times, axis=0), cache)


def _over_batch(function, cache: Cache) -> Cache:
    """Applies `function` to every leaf with its batch axis in front; scalars (the write index) stay."""

    def on(x, scanned):
        if x.ndim <= int(scanned):
            return x
        return jax.vmap(function)(x) if scanned else function(x)

    scanned = isinstance(cache.layers, LayerCache)
    layers = jax.tree.map(lambda x: on(x, scanned), cache.layers)
    rest = jax.tree.map(lambda x: on(x, False), cache.replace(layers=None))
    return rest.replace(layers=layers)
