"""Layers on top of each other: unrolled or scanned, from one definition of a block. The only file with lifted
transforms."""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention import Mechanism
from t2t.layers.attention import SharedParameters
from t2t.layers.block import Block, LayerCache, Surroundings
from t2t.layers.config import LayerConfig
from t2t.layers.convolution import Convolution
from t2t.layers.dropout import Dropout
from t2t.layers.norm import Norm
from t2t.layers.positions import RelativeBiasTable
from t2t.layers.rotary import rotation

Remat = Literal["none", "dots", "full"]
REMAT_POLICIES = {"full": None, "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable}
Caches = tuple[LayerCache, ...] | None


class Stack(nn.Module):
    """All layers of an encoder or a decoder, with what they share about positions, and the final norm.

    Attributes:
      layers: how many; a multiple of the number of mechanisms.
      mechanisms: of self-attention; they take turns, layer by layer.
      causal, cross: see `Block`.
      stacking: "unrolled" (parameters layer_0, layer_1, …; fastest to run) or "scanned" (one set of parameters with a
        leading layers axis, one such set for each mechanism; compile time independent of depth).
      remat: what the backward pass recomputes: "none", "dots" (all but matrix products) or "full".
      sharing: which set of parameters each layer has, layer_0 being the first (ALBERT, Lan et al. 2020, section 3.1);
        () where each has its own. Scanned layers share one set or none.
      initial_dropout: whether x is dropped out first, as embeddings are.
    """

    config: LayerConfig
    layers: int
    mechanisms: tuple[Mechanism, ...]
    causal: bool
    cross: bool
    final_norm: bool
    final_dropout: bool
    stacking: Literal["unrolled", "scanned"]
    remat: Remat
    sharing: tuple[int, ...] = ()
    initial_dropout: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, surroundings: Surroundings, cache: Caches = None) -> tuple[jax.Array, Caches]:
        """x [b n d] → ([b n d], the new cache). A cache is that of `init_layer_caches`, of x's predecessors."""
        config = self.config
        if config.positions == "relative_bias" and not config.relative_every_layer:
            bias = RelativeBiasTable(config, bidirectional=not self.causal, name="relative_bias")()
            surroundings = surroundings.replace(bias=bias.of_row(x.shape[1]) if cache is None else bias)
        if config.positions == "rotary":
            positions = jnp.arange(x.shape[1])[None] if surroundings.positions is None else surroundings.positions
            surroundings = surroundings.replace(rotation=rotation(positions, config.rotary_width, config.rotary_base))
        surroundings = surroundings.replace(
            shared=tuple(
                SharedParameters(config, mechanism, name=f"shared_self_attention_{i}")()
                for i, mechanism in enumerate(self.mechanisms)
            ),
            cross_shared=SharedParameters(config, config.cross_attention, name="shared_cross_attention")()
            if self.cross
            else None,
        )
        if self.initial_dropout:
            x = Dropout(config.dropout, config.dropout_over_length)(x)
        self.sow("intermediates", "before", x)
        if config.convolution and not self.causal:
            joining = Convolution(config, name="convolution")(x, surroundings.segments)
            surroundings = surroundings.replace(joining=joining)
        x, cache = (self._scanned if self.stacking == "scanned" else self._unrolled)(x, surroundings, cache)
        if self.final_norm:
            x = Norm(config, name="norm")(x)
        if self.final_dropout:
            # T5 shares the mask over the length everywhere but here, in its encoder.
            x = Dropout(config.dropout, config.dropout_over_length and self.causal)(x)
        return x, cache

    def _unrolled(self, x, surroundings, cache):
        block, turns = block_class(self.remat, scanned=False), len(self.mechanisms)
        blocks = {}
        for i, name in enumerate(self.sharing or range(self.layers)):
            if name not in blocks:
                mechanism, turn = self.mechanisms[i % turns], i % turns
                blocks[name] = block(self.config, mechanism, turn, self.causal, self.cross, name=f"layer_{name}")
        in_order = (blocks[name] for name in self.sharing or range(self.layers))
        return one_by_one(in_order, x, cache, surroundings, range(1, self.layers + 1))

    def _scanned(self, x, surroundings, cache):
        config, (first, *others) = self.config, self.mechanisms

        def scanned(body):
            return nn.scan(
                body,
                variable_axes={"intermediates": 0} if self.sharing else {"params": 0, "intermediates": 0},
                variable_broadcast="params" if self.sharing else False,
                split_rngs={"params": not self.sharing, "dropout": True},
                in_axes=(0, nn.broadcast, 0),
                out_axes=0,
                length=self.layers // len(self.mechanisms),
                metadata_params={nn.PARTITION_NAME: "layers"},
                check_constancy_invariants=bool(self.sharing),  # else layers would be traced twice, to no end
            )

        numbers = jnp.arange(1, self.layers + 1)
        if others:
            group = scanned(Group)(config, self.mechanisms, self.causal, self.cross, self.remat, name="layers")
            return group(x, cache, surroundings, numbers.reshape(-1, len(self.mechanisms)))
        block = scanned(block_class(self.remat, scanned=True))
        name = "layer_0" if self.sharing else "layers"
        x, new = block(config, first, 0, self.causal, self.cross, name=name)(
            x, None if cache is None else cache[0], surroundings, numbers
        )
        return x, None if cache is None else (new,)


class Group(nn.Module):
    """Consecutive layers, one for each of the mechanisms that take turns: what a scan goes over."""

    config: LayerConfig
    mechanisms: tuple[Mechanism, ...]
    causal: bool
    cross: bool
    remat: Remat

    @nn.compact
    def __call__(
        self, x: jax.Array, cache: Caches, surroundings: Surroundings, numbers: jax.Array
    ) -> tuple[jax.Array, Caches]:
        block = block_class(self.remat, scanned=True)
        return one_by_one(
            (
                block(self.config, mechanism, i, self.causal, self.cross, name=f"block_{i}")
                for i, mechanism in enumerate(self.mechanisms)
            ),
            x,
            cache,
            surroundings,
            numbers,
        )


def block_class(remat: Remat, scanned: bool) -> type[Block]:
    """`Block`, whose backward pass recomputes what `remat` says."""
    return Block if remat == "none" else nn.remat(Block, policy=REMAT_POLICIES[remat], prevent_cse=not scanned)


def one_by_one(
    blocks: Iterable[Block], x: jax.Array, caches: Caches, surroundings: Surroundings, numbers: Sequence | jax.Array
) -> tuple[jax.Array, Caches]:
    """x [b n d] through one block after the other, each with its cache and number → x and the new caches. What joins
    after the first layer is for the first of them."""
    new = []
    for i, block in enumerate(blocks):
        x, cache = block(x, None if caches is None else caches[i], surroundings, numbers[i])
        new.append(cache)
        surroundings = surroundings.replace(joining=None)
    return x, None if caches is None else tuple(new)


def init_layer_caches(
    state_of: Callable[[Mechanism], Any], mechanisms: tuple[Mechanism, ...], layers: int, stacking: str
) -> tuple[LayerCache, ...]:
    """Empty caches for a stack: one for each layer; where scanned, one for each mechanism, its layers' axis in front.

    Args:
      state_of: the state of one layer of a mechanism.
    """
    turns = len(mechanisms)
    if stacking == "unrolled":
        return tuple(LayerCache(attention=state_of(mechanisms[i % turns])) for i in range(layers))
    return tuple(
        jax.tree.map(
            lambda leaf: jnp.repeat(leaf[None], layers // turns, axis=0), LayerCache(attention=state_of(mechanism))
        )
        for mechanism in mechanisms
    )


def to_scanned(params: dict, turns: int = 1) -> dict:
    """Parameters of unrolled stacks as those of scanned ones.

    layer_0 … layer_{n−1} become `layers`, stacked in front; where several mechanisms take turns, layers/block_i holds
    the layers of the i-th. Works on any tree of dicts that holds stacks, whatever its leaves (arrays of one shape a
    name); others are untouched.

    Args:
      turns: how many mechanisms take turns in these stacks.
    """
    if not isinstance(params, dict):
        return params
    names = sorted((n for n in params if n.startswith("layer_")), key=lambda n: int(n.removeprefix("layer_")))
    rest = {name: to_scanned(value, turns) for name, value in params.items() if name not in names}
    if names:
        stacked = [
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *(params[n] for n in names[i::turns])) for i in range(turns)
        ]
        rest["layers"] = {f"block_{i}": block for i, block in enumerate(stacked)} if turns > 1 else stacked[0]
    return rest


def to_unrolled(params: dict, one_of: Callable[[Any, int], Any] = operator.getitem) -> dict:
    """The inverse of `to_scanned`; stacks that are unrolled already are untouched.

    Args:
      one_of: (what is of all layers, a number) → what is of the layer of that number; the one takes arrays, and
        `shape_of_one` the boxed shapes of parameters.
    """
    if not isinstance(params, dict):
        return params
    rest = {name: to_unrolled(value, one_of) for name, value in params.items() if name != "layers"}
    if "layers" in params:
        layers = params["layers"]
        blocks = [layers[f"block_{i}"] for i in range(len(layers))] if "block_0" in layers else [layers]
        for i in range(len(jax.tree.leaves(blocks[0])[0])):
            for j, block in enumerate(blocks):
                one = jax.tree.map(lambda leaf, i=i: one_of(leaf, i), block, is_leaf=_is_boxed)
                rest[f"layer_{i * len(blocks) + j}"] = one
    return rest


def shape_of_one(shape: Any, number: int) -> Any:
    """Of the shape of a parameter of all scanned layers, boxed or not, that of the one of a number: all have one."""
    every = nn.meta.unbox(shape)
    one = jax.ShapeDtypeStruct(every.shape[1:], every.dtype)
    return shape.replace_boxed(one).remove_axis(0, {nn.PARTITION_NAME: "layers"}) if _is_boxed(shape) else one


def _is_boxed(leaf: Any) -> bool:
    return isinstance(leaf, nn.meta.AxisMetadata)
