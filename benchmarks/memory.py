"""The memory of training as a model's cache: hidden states of each layer, which weights of now project again."""

import jax
import jax.numpy as jnp

from t2t import models
from t2t.layers import LayerCache
from t2t.layers.attention import sizes_of


def init_memory(config: models.ModelConfig, batch: int, segment: int) -> models.Cache:
    """An empty memory of every layer of a decoder of one mechanism, before segments of that length."""
    kept = config.attention.init_memory(batch, sizes_of(config), config.compute_dtype)
    cache = models.init_cache(config, batch, segment)
    if config.stacking == "scanned":
        axis = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], config.decoder_layers, axis=0), kept)
        return cache.replace(layers=(LayerCache(attention=axis),))
    layers = (jax.tree.map(jnp.copy, kept) for _ in range(config.decoder_layers))  # so that each can be donated
    return cache.replace(layers=tuple(LayerCache(attention=layer) for layer in layers))
