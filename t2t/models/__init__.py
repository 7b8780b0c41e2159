"""Whole models from one set of layers: encoder, decoder and encoder-decoder."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.errors import ConfigError
from t2t.layers import shape_of_one, to_scanned, to_unrolled
from t2t.models.cache import Cache, init_cache, init_memory, memory_loss, over_batch, reorder, reorder_beams, repeat
from t2t.models.config import ModelConfig
from t2t.models.decoder import Decoder
from t2t.models.encoder import Encoder
from t2t.models.encoder_decoder import EncoderDecoder
from t2t.models.heads import first
from t2t.models.hidden import hidden_states
from t2t.models.matrices import cast_matrices

__all__ = [
    "Cache",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "ModelConfig",
    "abstract_params",
    "build",
    "by_path",
    "cast_matrices",
    "drawn",
    "dummy_batch",
    "first",
    "hidden_states",
    "init_cache",
    "init_memory",
    "memory_loss",
    "over_batch",
    "param_count",
    "reorder",
    "reorder_beams",
    "repeat",
    "restack",
]

ARCHITECTURES = {"encoder": Encoder, "decoder": Decoder, "encoder-decoder": EncoderDecoder}


def build(config: ModelConfig) -> nn.Module:
    """The module of a config: `module.init(key, batch)`, `module.apply({"params": params}, batch)` → logits [b n v]."""
    reads_no_table = config.architecture == "encoder" and "vocabulary" not in config.outputs
    if config.vocab_size < 1 and not (reads_no_table and (config.patches or config.hashing)):
        raise ConfigError(
            "vocab_size: expected at least 1 to build a model, found 0: give it, or let a run fill it in."
        )
    if not config.labels and {"sequence", "tagging"} & set(config.outputs):
        raise ConfigError("labels: expected at least 1 to build a model, found 0: give it, or let a run fill it in.")
    return ARCHITECTURES[config.architecture](config)


def dummy_batch(config: ModelConfig, batch: int = 1, length: int = 8) -> dict[str, jax.Array]:
    """A batch of zeros with the features that the architecture reads, for `init` and for shapes."""
    sides = {"encoder": ["encoder"], "decoder": ["decoder"], "encoder-decoder": ["encoder", "decoder"]}
    length = max(length, config.side("encoder").molecules.rate if config.side("encoder").molecules else 0)
    features = {
        f"{side}_{kind}": jnp.zeros((batch, length), jnp.int32)
        for side in sides[config.architecture]
        for kind in ("inputs", "segments", "positions")
    }
    patches = config.side("encoder").patches
    if patches is None:
        return features
    pixels = jnp.zeros((batch, *patches.image, patches.channels))
    return {name: x for name, x in features.items() if name.startswith("decoder")} | {"encoder_pixels": pixels}


def abstract_params(config: ModelConfig) -> Any:
    """The parameters' shapes and logical axis names (boxed), without allocating any."""
    return jax.tree.map(lambda leaf: leaf, _abstract_params(config))  # a tree of the caller's own


@functools.lru_cache(maxsize=64)
def _abstract_params(config: ModelConfig) -> Any:
    if config.stacking == "unrolled" and not any(layers.sharing for layers in config.stacks.values()):
        # Scanned layers are traced once, however many there are.
        return to_unrolled(_abstract_params(dataclasses.replace(config, stacking="scanned")), shape_of_one)
    return jax.eval_shape(lambda: build(config).init(jax.random.key(0), dummy_batch(config)))["params"]


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree of dicts, such as parameters, by their paths, with slashes."""
    return {"/".join(key.key for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def drawn(config: ModelConfig, paths: Sequence[str], seed: int) -> dict[str, jax.Array]:
    """Parameters by their paths, as a model begins with them (unboxed); no others are computed."""
    if not paths:
        return {}

    def init(key):
        found = by_path(nn.meta.unbox(build(config).init(key, dummy_batch(config))["params"]))
        return {path: found[path] for path in paths}

    return jax.jit(init)(jax.random.key(seed))


def param_count(config: ModelConfig) -> int:
    """How many parameters a config has, without allocating any."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nn.meta.unbox(abstract_params(config))))


def restack(params: dict, config: ModelConfig) -> dict:
    """The parameters of a model, its layers stacked in whatever way, with them stacked as `config` says."""
    params = to_unrolled(params)
    for path, layers in config.stacks.items() if config.stacking == "scanned" else ():
        if not layers.sharing:  # one set of parameters lies as it is whichever way layers are stacked
            params = _within(params, path.split("/"), lambda stack, turns=layers.turns: to_scanned(stack, turns))
    return params


def _within(tree: dict, path: Sequence[str], function: Callable[[dict], dict]) -> dict:
    """The tree with a function of what is at a path in its place."""
    first, *rest = path
    return {**tree, first: _within(tree[first], rest, function) if rest else function(tree[first])}
