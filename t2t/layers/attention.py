"""Multi-head attention around a mechanism: the projections, which stay the same whatever the mechanism is."""

import jax
from flax import linen as nn

from t2t.attention import KVCache, Pattern
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer
from t2t.layers.positions import RelativeBias
from t2t.layers.projection import Projection


class Attention(nn.Module):
    """Projects to queries, keys and values, lets the mechanism of the config mix them, and projects back."""

    config: LayerConfig

    def setup(self):
        config = self.config
        wide, narrow, axes = (config.heads, config.head_width), (config.width,), ("heads", "kv")

        def inward(role):
            return Projection(
                narrow, wide, ("embed", *axes), initializer(config, role), config.bias, config.compute_dtype
            )

        self.query, self.key, self.value = inward("query"), inward("key"), inward("value")
        self.out = Projection(
            wide, narrow, (*axes, "embed"), initializer(config, "attention_out"), config.bias, config.compute_dtype
        )

    def project(self, context: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Keys and values of a context [b m d] → two of [b m h k]."""
        return self.key(context), self.value(context)

    def __call__(
        self,
        x: jax.Array,
        key_value: tuple[jax.Array, jax.Array],
        *,
        pattern: Pattern,
        bias: jax.Array | RelativeBias | None = None,
        query_segments: jax.Array | None = None,
        key_segments: jax.Array | None = None,
        query_positions: jax.Array | None = None,
        key_positions: jax.Array | None = None,
        prefix: jax.Array | None = None,
        state: KVCache | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        """x [b n d] attends to projected keys and values [b m h k] → ([b n d], the new state)."""
        config = self.config
        dropout_key = self.make_rng("dropout") if config.attention_dropout and self.has_rng("dropout") else None
        out, state = config.attention.apply(
            self.query(x),
            *key_value,
            pattern=pattern,
            bias=bias,
            query_segments=query_segments,
            key_segments=key_segments,
            query_positions=query_positions,
            key_positions=key_positions,
            prefix=prefix,
            scale=None if config.scale_attention else 1.0,
            dropout_rate=config.attention_dropout,
            dropout_key=dropout_key,
            dropout_over_queries=config.dropout_over_length,
            state=state,
        )
        return self.out(out), state
