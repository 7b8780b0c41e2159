"""Multi-head attention around a mechanism: the projections, which stay the same whatever the mechanism is."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention import Conditions, Mechanism, Parameter, Sizes, Source
from t2t.layers.config import LayerConfig
from t2t.layers.dropout import Dropout
from t2t.layers.init import initializer
from t2t.layers.projection import Projection
from t2t.layers.rotary import Rotation
from t2t.layers.rotary import rotation as rotation_of


class Attention(nn.Module):
    """Projects to queries, keys and values, lets a mechanism mix them, and projects back.

    Attributes:
      mechanism: how positions exchange information.
    """

    config: LayerConfig
    mechanism: Mechanism

    def setup(self):
        config = self.config
        narrow, axes = (config.width,), ("heads", "kv")

        def inward(role, width):
            wide, init = (config.heads, width), initializer(config, role)
            return Projection(narrow, wide, ("embed", *axes), init, config.has_bias(role), config.compute_dtype)

        self.query, self.key = inward("query", config.head_width), inward("key", config.head_width)
        self.value = inward("value", config.output_width)
        wide, init = (config.heads, config.output_width), initializer(config, "attention_out")
        self.out = Projection(wide, narrow, (*axes, "embed"), init, config.has_bias("out"), config.compute_dtype)
        self.drop = Dropout(config.dropout, config.dropout_over_length)
        wanted = self.mechanism.parameters(sizes_of(config)).items()
        self.own = {name: declare(self, name, p) for name, p in wanted if not p.shared}

    def project(
        self, context: jax.Array, positions: jax.Array | None = None, frozen: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """Keys and values of a context [b m d] → two of [b m h k]. Keys turn (rotary positions) only where their
        positions int [b m] are given; with `frozen`, no gradient goes to the weights."""
        key, value = self.key(context, frozen), self.value(context, frozen)
        if positions is not None and self.config.positions == "rotary":
            key = rotation_of(positions, self.config.rotary_width, self.config.rotary_base)(key)
        return self._widen(key), self._widen(value)

    def _project_query(self, x: jax.Array) -> jax.Array:
        return self._widen(self.query(x))

    def _widen(self, x: jax.Array) -> jax.Array:
        """Mechanisms see one width: zeros after the narrower of keys and values change no product."""
        missing = self.config.mixing_width - x.shape[-1]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing))) if missing else x

    def __call__(
        self,
        x: jax.Array,
        context: jax.Array | None,
        conditions: Conditions,
        *,
        projected: tuple[jax.Array, jax.Array] | None = None,
        rotation: Rotation | None = None,
        divisor: int | jax.Array = 1,
        state: Any = None,
        shared: Mapping[str, jax.Array] | None = None,
        before: jax.Array | None = None,
        prepare: Callable[[jax.Array], jax.Array] | None = None,
    ) -> tuple[jax.Array, Any]:
        """x attends to a context.

        Args:
          x: [b n d].
          context: [b m d], what keys and values are made from; None where they are given.
          conditions: pattern, bias, segments, positions and prefix; scale and dropout are the config's.
          projected: keys and values [b m h k], made before by `project`.
          rotation: of queries and keys, in self-attention with rotary positions.
          divisor: of the logits, beside the config's scale.
          state: of the mechanism.
          shared: the mechanism's parameters that all layers share.
          before, prepare: see `Source`.

        Returns:
          [b n d] and the new state.
        """
        config = self.config
        conditions = conditions.replace(
            scale=config.head_width**-0.5 if config.scale_attention else 1.0,
            dropout_rate=config.attention_dropout,
            dropout_key=self.make_rng("dropout") if config.attention_dropout and self.has_rng("dropout") else None,
            dropout_over_queries=config.dropout_over_length,
        )
        query, (key, value) = self.query(x), self.project(context) if projected is None else projected
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        query = self._widen(query)
        if not isinstance(divisor, int) or divisor != 1:
            query = query / jnp.asarray(divisor, query.dtype)
        mix = functools.partial(
            self.mechanism.apply,
            state=state,
            parameters={n: p.astype(config.compute_dtype) for n, p in {**self.own, **(shared or {})}.items()},
            source=None
            if context is None
            else Source(context, self.project, self._project_query, self.drop, before=before, prepare=prepare),
        )
        out, new = mix(query, key, value, conditions)
        if config.blind == "mean" and state is None and conditions.key_segments is not None:
            out = mean_where_blind(mix, out, query, key, value, conditions)
        return self.out(out[..., : config.output_width]), new


def mean_where_blind(
    mix: Callable[..., tuple[jax.Array, Any]],
    out: jax.Array,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    conditions: Conditions,
) -> jax.Array:
    """What a mechanism gave, [b n h k]; of queries that see nothing but padding, the mean of the padding's values.

    So it is where padding is masked by adding a number beside which logits vanish. Their gradients do not vanish there:
    here logits are 0 by taking away what they are, without its gradient.
    """
    plain = conditions.replace(bias=None, dropout_rate=0.0)
    ones = functools.partial(jnp.ones_like, dtype=value.dtype)
    seen = mix(ones(query[..., :1]), ones(key[..., :1]), ones(value[..., :1]), plain)[0] > 0.5

    def filled():
        every = plain.replace(query_segments=None, key_segments=None)
        still = jax.lax.stop_gradient
        queries, keys = jnp.concatenate([query, -still(query)], axis=-1), jnp.concatenate([key, still(key)], axis=-1)
        mean = mix(queries, keys, jnp.concatenate([value, jnp.zeros_like(value)], axis=-1), every)[0]
        return jnp.where(seen, out, mean[..., : value.shape[-1]])

    return jax.lax.cond(seen.all(), lambda: out, filled)


class SharedParameters(nn.Module):
    """Those parameters of a mechanism that all layers of a stack share, by name."""

    config: LayerConfig
    mechanism: Mechanism

    @nn.compact
    def __call__(self) -> dict[str, jax.Array]:
        wanted = self.mechanism.parameters(sizes_of(self.config)).items()
        return {name: declare(self, name, p) for name, p in wanted if p.shared}


def sizes_of(config: LayerConfig) -> Sizes:
    """The sizes that mechanisms are told."""
    return Sizes(width=config.width, heads=config.heads, head_width=config.mixing_width)


def declare(module: nn.Module, name: str, parameter: Parameter) -> jax.Array:
    """Makes a mechanism's parameter one of a module's."""

    def init(key, shape, dtype):
        return parameter.mean + parameter.std * jax.random.normal(key, shape, dtype)

    return module.param(name, nn.with_logical_partitioning(init, parameter.axes), parameter.shape, jnp.float32)
