"""The encoder alone: every token sees every other, and gets a state and logits (BERT and its kin)."""

from collections.abc import Mapping

import jax
from flax import linen as nn

from t2t.layers import Stack, Surroundings
from t2t.layers.embedding import Embedding
from t2t.models.config import ModelConfig
from t2t.models.embedder import Embedder, Logits


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
        name=name,
    )


class Encoder(nn.Module):
    """An encoder with logits over the vocabulary for each position."""

    config: ModelConfig

    def setup(self):
        config = self.config
        self.tokens = Embedding(config, config.vocab_size, config.table_width)
        self.encoder_embedder = Embedder(config)
        self.encoder = encoder_stack(config)
        self.logits = Logits(config)

    def __call__(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Reads encoder_ inputs, segments, positions and types → logits float32 [b n v]."""
        around = (batch.get(f"encoder_{name}") for name in ("segments", "positions", "types"))
        states = self.encode(batch["encoder_inputs"], *around)
        return self.logits(self.tokens, states)

    def encode(
        self,
        tokens: jax.Array,
        segments: jax.Array | None = None,
        positions: jax.Array | None = None,
        types: jax.Array | None = None,
    ) -> jax.Array:
        """tokens int [b n] → states [b n d]; segments 0 on padding, positions 0, 1, … and types 0 where not given."""
        x = self.encoder_embedder(self.tokens, tokens, positions, types)
        return self.encoder(x, Surroundings(segments=segments, positions=positions))[0]
