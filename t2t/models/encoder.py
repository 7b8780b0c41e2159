"""The encoder alone: every token sees every other, and gets a state and logits (BERT and its kin)."""

from collections.abc import Mapping

import jax
from flax import linen as nn

from t2t.layers import Stack, Surroundings
from t2t.layers.embedding import Embedding
from t2t.models.config import ModelConfig
from t2t.models.embedder import Embedder, Logits
from t2t.models.heads import Heads, first


def encoder_stack(config: ModelConfig, name: str | None = None) -> Stack:
    """The encoder's layers of a config."""
    return Stack(
        config,
        config.encoder_layers,
        config.encoder_mechanisms,
        causal=False,
        cross=False,
        final_norm=config.final_norm,
        final_dropout=config.final_dropout,
        stacking=config.stacking,
        remat=config.remat,
        sharing=config.sharing,
        name=name,
    )


class Encoder(nn.Module):
    """An encoder, and what a config reads off its states: logits over the vocabulary for each position, for one."""

    config: ModelConfig

    def setup(self):
        config = self.config
        self.tokens = Embedding(config, config.vocab_size, config.table_width)
        self.encoder_embedder = Embedder(config)
        self.encoder = encoder_stack(config)
        self.logits, self.heads = Logits(config), Heads(config)

    def __call__(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """The first of the outputs: where it is "vocabulary", logits float32 [b n v]."""
        return first(self.config, self.outputs(batch))

    def outputs(self, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Reads encoder_ inputs, segments, positions, types and query_segments, and pooled_at → "states" [b n d], and
        the outputs."""
        inputs, segments, positions, types, query_segments = (
            batch.get(f"encoder_{name}") for name in ("inputs", "segments", "positions", "types", "query_segments")
        )
        states = self.encode(inputs, segments, positions, types, query_segments)
        found = {"states": states, **self.heads(states, segments, batch.get("pooled_at"))}
        if "vocabulary" in self.config.outputs:
            found["vocabulary"] = self.logits(self.tokens, states)
        return found

    def encode(
        self,
        tokens: jax.Array,
        segments: jax.Array | None = None,
        positions: jax.Array | None = None,
        types: jax.Array | None = None,
        query_segments: jax.Array | None = None,
    ) -> jax.Array:
        """tokens int [b n] → states [b n d]; segments 0 on padding, positions 0, 1, … and types 0 where not given."""
        x = self.encoder_embedder(self.tokens, tokens, positions, types)
        return self.encoder(x, Surroundings(segments=segments, positions=positions, query_segments=query_segments))[0]
