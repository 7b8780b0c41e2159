"""The decoder alone: every token sees what came before, and predicts the next (GPT and its kin)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers import Stack, Surroundings
from t2t.models.cache import Cache
from t2t.models.config import ModelConfig
from t2t.models.embedder import Embedder, check_length, logits_of, of_vocabulary, token_table
from t2t.models.heads import Heads, first


def decoder_stack(config: ModelConfig, cross: bool, name: str | None = None) -> Stack:
    """The decoder's layers of a config."""
    return Stack(
        config,
        config.decoder_layers,
        config.decoder_mechanisms,
        causal=True,
        cross=cross,
        final_norm=config.final_norm,
        final_dropout=config.final_dropout,
        stacking=config.stacking,
        remat=config.remat,
        sharing=config.sharing,
        name=name,
    )


def cached_surroundings(
    config: ModelConfig, tokens: jax.Array, segments: jax.Array | None, positions: jax.Array | None, cache: Cache
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Segments, positions and new lengths of tokens that continue a cache: real tokens count on from its lengths."""
    if cache.room is not None:
        check_length(config, cache.room)
    if cache.room is not None and tokens.shape[1] > cache.room:
        raise ValueError(
            f"The cache has room for {cache.room} positions, found {tokens.shape[1]} tokens at once: "
            "make it with a greater length."
        )
    segments = jnp.ones_like(tokens) if segments is None else segments
    real = (segments > 0).astype(jnp.int32)
    if positions is None:
        positions = jnp.maximum(cache.lengths[:, None] + jnp.cumsum(real, axis=1) - 1, 0)
    return segments, positions, cache.lengths + real.sum(axis=1)


class Decoder(nn.Module):
    """A causal language model, or what else a config reads off the states of a decoder."""

    config: ModelConfig

    def setup(self):
        config = self.config
        self.tokens = token_table(config)
        self.decoder_embedder = Embedder(config)
        self.decoder = decoder_stack(config, cross=False)
        self.logits, self.heads = logits_of(config), Heads(config)

    def __call__(self, batch: Mapping[str, jax.Array], memory: Cache | None = None) -> Any:
        """The first of the outputs: where it is "vocabulary", logits float32 [b n v].

        With a memory, of `init_memory` or of the segment before, the batch is the segment that follows it, and the
        memory after it is returned as well. Documents go on where segment ids do.
        """
        found = self.outputs(batch, memory)
        logits = first(self.config, found)
        return logits if memory is None else (logits, found["memory"])

    def outputs(self, batch: Mapping[str, jax.Array], memory: Cache | None = None) -> dict[str, Any]:
        """Reads decoder_ inputs, segments, positions and prefix, and pooled_at → "states" [b n d], the outputs, and
        "memory" where one was given."""
        inputs, segments, positions, prefix = (
            batch.get(f"decoder_{name}") for name in ("inputs", "segments", "positions", "prefix")
        )
        states, memory = self._states(inputs, segments, positions, prefix, memory)
        found = {"states": states, **self.heads(states, segments, batch.get("pooled_at"))}
        if "vocabulary" in self.config.outputs:
            found |= of_vocabulary(self.logits, self.tokens, states, batch.get("targets"))
        return found if memory is None else {**found, "memory": memory}

    def decode(
        self,
        tokens: jax.Array,
        *,
        segments: jax.Array | None = None,
        positions: jax.Array | None = None,
        prefix: jax.Array | None = None,
        cache: Cache | None = None,
    ) -> tuple[jax.Array, Any]:
        """Logits of the next token at every position.

        Args:
          tokens: int [b n]; with a cache, those that follow what it holds: a whole prompt, padded on the left, or one.
          segments: int [b n], 0 on padding.
          positions: int [b n]; counted from the segments where not given.
          prefix: int [b n], 1 where tokens see each other both ways; without a cache, or for the first tokens of one.
          cache: from `init_cache`; the caller sees to it that there is room.

        Returns:
          Logits float32 [b n v] and the new cache (None where none was given).
        """
        states, cache = self._states(tokens, segments, positions, prefix, cache)
        return self.logits(self.tokens, states), cache

    def _states(
        self,
        tokens: jax.Array,
        segments: jax.Array | None,
        positions: jax.Array | None,
        prefix: jax.Array | None,
        cache: Cache | None,
    ) -> tuple[jax.Array, Cache | None]:
        lengths = None
        if cache is not None:
            segments, positions, lengths = cached_surroundings(self.config, tokens, segments, positions, cache)
        x = self.decoder_embedder(self.tokens, tokens, positions)
        around = Surroundings(segments=segments, positions=positions, prefix=prefix)
        x, layers = self.decoder(x, around, None if cache is None else cache.layers)
        return x, None if cache is None else cache.replace(layers=layers, lengths=lengths)
