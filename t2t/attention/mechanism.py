"""What every mechanism is: a config that knows its parameters, its state, and how to apply itself.

Every mechanism has the one interface `apply(query, key, value, conditions, …) → (out, state)`, after the projections,
so that swapping the mechanism keeps the projection weights.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.named import bidirectional
from t2t.attention.pattern import Pattern


def _static(default: Any) -> Any:
    return flax.struct.field(pytree_node=False, default=default)


@functools.partial(flax.struct.dataclass, kw_only=True)
class Conditions:
    """On what terms queries meet keys in one call. The fields are the arguments of `attend`, and mean the same,
    but for the global tokens.

    Attributes:
      pattern: what the architecture implies (a decoder is causal); the mechanism's own is laid over it.
      bias: an array broadcastable to [b h n m], or a function of the query and key positions that makes it
        ([b n], [b m] → [b h n m], or [n], [m] → [1 h n m]) and is a pytree of its parameters.
      query_segments, key_segments: int32 [b n], [b m]; only equal, non-zero segments meet.
      query_positions, key_positions: int32 [b n], [b m]; where not given, 0, 1, … in the row.
      prefix: int or bool [b m]; causality does not hold between two positions of it.
      mask: bool [b n m], True where a pair may meet, laid over all else; for mechanisms that take it (`takes_masks`).
      query_types, key_types: int [b n], [b m], the kinds of tokens, for mechanisms that tell them apart.
      global_tokens: int or bool [b m], which tokens see and are seen by all, for mechanisms that know such tokens
        (`Longformer`).
      scale: of the logits; 1/sqrt(k) where None.
      dropout_rate, dropout_key, dropout_over_queries: of the attention weights.
    """

    pattern: Pattern | tuple[Pattern, ...] = _static(bidirectional())
    bias: jax.Array | Callable[..., jax.Array] | None = None
    query_segments: jax.Array | None = None
    key_segments: jax.Array | None = None
    query_positions: jax.Array | None = None
    key_positions: jax.Array | None = None
    prefix: jax.Array | None = None
    mask: jax.Array | None = None
    query_types: jax.Array | None = None
    key_types: jax.Array | None = None
    global_tokens: jax.Array | None = None
    scale: float | None = _static(None)
    dropout_rate: float = _static(0.0)
    dropout_key: jax.Array | None = None
    dropout_over_queries: bool = _static(False)

    def keywords(self) -> dict[str, Any]:
        """The fields by name, as `attend` takes them.

        Raises:
          ValueError: there are global tokens, of which `attend` knows nothing.
        """
        if self.global_tokens is not None:
            raise ValueError("global_tokens are for the mechanism Longformer, found another: leave them out.")
        others = ("mask", "query_types", "key_types", "global_tokens")
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in others}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of the layer around a mechanism: d, h and k."""

    width: int
    heads: int
    head_width: int


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A learned array that a mechanism needs, float32.

    Attributes:
      shape: of the array.
      axes: the logical name of each axis ("embed", "heads", "kv", or None).
      std, mean: of the normal distribution it begins from; std 0 is a constant.
      shared: one array for all layers of a stack, rather than one a layer.
    """

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    std: float = 0.0
    mean: float = 0.0
    shared: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """Where queries, keys and values came from, for mechanisms that make more of them.

    Attributes:
      inputs: [b m d], what was projected.
      before: [b m d], what the layer was given: the same, but where a norm stands between the two.
      prepare: that norm, [b m' d] → [b m' d].
      project: the projection, [b m' d] → keys and values [b m' h k]. With positions int32 [b m'] keys turn as rotary
        positions have it, where the model has these; with `frozen`, no gradient goes to the weights.
      project_query: that of queries, [b n' d] → [b n' h k].
      drop: the layer's dropout of features, [b m' d] → the same.
    """

    inputs: jax.Array
    project: Callable[..., tuple[jax.Array, jax.Array]]
    project_query: Callable[[jax.Array], jax.Array] | None = None
    drop: Callable[[jax.Array], jax.Array] = lambda x: x
    before: jax.Array | None = None
    prepare: Callable[[jax.Array], jax.Array] | None = None

    def of_layer(self) -> "Source":
        """The same from one step before: of what the layer was given, through its norm."""
        if self.prepare is None:
            return self

        def project(x: jax.Array, *arguments: Any, **more: Any) -> tuple[jax.Array, jax.Array]:
            return self.project(self.prepare(x), *arguments, **more)

        return dataclasses.replace(self, inputs=self.before, project=project)


class Mechanism:
    """The base of all mechanisms: frozen, keyword-only dataclasses with a Literal field `name`."""

    def check(self, *, causal: bool, cross: bool, positions: str) -> None:
        """Refuses what the mechanism cannot do, when a model is configured.

        Args:
          causal: whether the attention is a decoder's own.
          cross: whether it is from a decoder to an encoder.
          positions: how the model encodes positions (`LayerConfig.positions`).

        Raises:
          ValueError: what cannot be, and which mechanism can.
        """

    def parameters(self, sizes: Sizes) -> dict[str, Parameter]:
        """The learned arrays that `apply` wants, by name; none for most."""
        return {}

    def flops(self, n: int, m: int, sizes: Sizes, *, causal: bool) -> float:
        """Floating-point operations of the matrix products of `apply` for one row of n queries and m keys, forward;
        projections are not among them. 4 h k for each pair of positions, where a mechanism says nothing else."""
        return 4.0 * sizes.heads * sizes.head_width * n * m

    def init_state(self, batch: int, length: int, sizes: Sizes, dtype: jnp.dtype) -> Any:
        """What is kept between the steps of incremental decoding, before the first: a pytree of arrays with the batch
        in front (scalars apart), with room for `length` positions in all."""
        raise ValueError(f"{type(self).__name__} has no incremental decoding.")

    @property
    def remembers(self) -> bool:
        """Whether it sees segments of training before the present one, which must then be consecutive."""
        return False

    @property
    def takes_masks(self) -> bool:
        """Whether it heeds `Conditions.mask`, and queries beside the keys' own (`Conditions`)."""
        return False

    def init_memory(self, batch: int, sizes: Sizes, dtype: jnp.dtype) -> Any:
        """What is kept between consecutive segments in training, before the first: a state whose gradients reach the
        weights, of arrays with the batch in front (scalars apart), and with a scalar `loss` that is added to that of
        training; None for most mechanisms, which keep nothing."""
        return None

    def apply(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        conditions: Conditions,
        *,
        state: Any = None,
        parameters: Mapping[str, jax.Array] | None = None,
        source: Source | None = None,
    ) -> tuple[jax.Array, Any]:
        """Mixes positions.

        Args:
          query: [b n h k].
          key, value: [b m h k].
          state: of the positions before; those given follow them, and are added. Segments and positions are then
            given in `conditions` (int32 [b n], the queries' and the keys' the same); a prefix is [b n] too, and comes
            with the first positions alone.
          parameters: the arrays named by `parameters`, in the dtype of the computation.
          source: see `Source`.

        Returns:
          The output [b n h k], and the new state (None where none was given).
        """
        raise TypeError(f"{type(self).__name__} has no apply: a mechanism says how it mixes positions.")
