"""Layers on top of each other: unrolled or scanned, from one definition of a block. The only file with lifted
transforms."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers.attention import declare, sizes_of
from t2t.layers.block import Block, LayerCache, Surroundings
from t2t.layers.config import LayerConfig
from t2t.layers.dropout import Dropout
from t2t.layers.norm import Norm
from t2t.layers.positions import RelativeBiasTable

REMAT_POLICIES = {"full": None, "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable}


class Stack(nn.Module):
    """All layers of an encoder or a decoder, with the relative bias they share and the final norm.

    Attributes:
      layers: how many.
      causal, cross: see `Block`.
      stacking: "unrolled" (parameters layer_0, layer_1, …; fastest to run) or "scanned" (one set of parameters with a
        leading layers axis; compile time independent of depth).
      remat: what the backward pass recomputes: "none", "dots" (all but matrix products) or "full".
    """

    config: LayerConfig
    layers: int
    causal: bool
    cross: bool
    final_norm: bool
    final_dropout: bool
    stacking: Literal["unrolled", "scanned"]
    remat: Literal["none", "dots", "full"]

    @nn.compact
    def __call__(self, x: jax.Array, surroundings: Surroundings, cache: Any = None) -> tuple[jax.Array, Any]:
        """x [b n d] → ([b n d], the new cache). A cache is a tuple of `LayerCache`, or one with a leading layers
        axis."""
        config = self.config
        if config.positions == "relative_bias":
            bias = RelativeBiasTable(config, bidirectional=not self.causal, name="relative_bias")()
            if cache is None:  # the same for all layers and rows: make it once
                positions = jnp.arange(x.shape[1])
                bias = bias(positions, positions)
            surroundings = surroundings.replace(bias=bias)
        wanted = config.attention.parameters(sizes_of(config)).items()
        shared = {name: declare(self, name, p) for name, p in wanted if p.shared}
        surroundings = surroundings.replace(shared=shared or None)
        x = Dropout(config.dropout, config.dropout_over_length)(x)
        x, cache = (self._scanned if self.stacking == "scanned" else self._unrolled)(x, surroundings, cache)
        if self.final_norm:
            x = Norm(config, name="norm")(x)
        if self.final_dropout:
            # T5 shares the mask over the length everywhere but here, in its encoder.
            x = Dropout(config.dropout, config.dropout_over_length and self.causal)(x)
        return x, cache

    def _block(self, scanned: bool) -> type[Block]:
        if self.remat == "none":
            return Block
        return nn.remat(Block, policy=REMAT_POLICIES[self.remat], prevent_cse=not scanned)

    def _unrolled(self, x, surroundings, cache):
        block, new = self._block(scanned=False), []
        for i in range(self.layers):
            x, layer_cache = block(self.config, self.causal, self.cross, name=f"layer_{i}")(
                x, None if cache is None else cache[i], surroundings
            )
            new.append(layer_cache)
        return x, None if cache is None else tuple(new)

    def _scanned(self, x, surroundings, cache):
        block = nn.scan(
            self._block(scanned=True),
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=(0, nn.broadcast),
            out_axes=0,
            length=self.layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        return block(self.config, self.causal, self.cross, name="layers")(x, cache, surroundings)


def init_layer_caches(config: LayerConfig, layers: int, batch: int, length: int, stacking: str) -> Any:
    """Empty caches for a stack: a tuple of `LayerCache`, or one with a leading layers axis where scanned."""
    caches = tuple(
        LayerCache(attention=config.attention.init_state(batch, length, sizes_of(config), config.compute_dtype))
        for _ in range(layers)
    )
    return caches if stacking == "unrolled" else jax.tree.map(lambda *leaves: jnp.stack(leaves), *caches)


def to_scanned(params: dict) -> dict:
    """Parameters of unrolled stacks as those of scanned ones: layer_0 … layer_{n−1} become `layers`, stacked in front.

    Works on any tree of dicts that holds stacks, whatever its leaves (arrays of one shape a name); others are
    untouched.
    """
    if not isinstance(params, dict):
        return params
    names = sorted((n for n in params if n.startswith("layer_")), key=lambda n: int(n.removeprefix("layer_")))
    rest = {name: to_scanned(value) for name, value in params.items() if name not in names}
    if names:
        rest["layers"] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(params[n] for n in names))
    return rest


def to_unrolled(params: dict) -> dict:
    """The inverse of `to_scanned`."""
    if not isinstance(params, dict):
        return params
    rest = {name: to_unrolled(value) for name, value in params.items() if name != "layers"}
    if "layers" in params:
        for i in range(len(jax.tree.leaves(params["layers"])[0])):
            rest[f"layer_{i}"] = jax.tree.map(lambda leaf, i=i: leaf[i], params["layers"])
    return rest
