"""The layers from which every model is made."""

from t2t.layers.block import Block, LayerCache, Surroundings
from t2t.layers.config import LayerConfig
from t2t.layers.stack import Stack, init_layer_caches, shape_of_one, to_scanned, to_unrolled

__all__ = [
    "Block",
    "LayerCache",
    "LayerConfig",
    "Stack",
    "Surroundings",
    "init_layer_caches",
    "shape_of_one",
    "to_scanned",
    "to_unrolled",
]
