"""The encoder-decoder: text in, text out (the original Transformer, T5, BART and their kin), or images in."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers import Surroundings
from t2t.models.cache import Cache
from t2t.models.config import ModelConfig
from t2t.models.decoder import cached_surroundings, decoder_stack
from t2t.models.embedder import Embedder, Table, dense, logits_of, of_vocabulary, token_table
from t2t.models.encoder_stack import encoder_stack
from t2t.models.heads import Heads, first
from t2t.models.inputs import feature_of


class EncoderDecoder(nn.Module):
    """An encoder, and a decoder whose layers also look at its output."""

    config: ModelConfig

    def setup(self):
        config = self.config
        reader = config.side("encoder")
        self.tokens = token_table(config)
        if not config.share_embeddings:
            self.decoder_tokens = token_table(config)
        if config.encoder is not None:
            self.encoder_tokens, self.encoder_heads = token_table(reader), Heads(reader)
        if reader.width != config.width:
            self.bridge = dense(config, None, reader.width, config.width)
        self.encoder_embedder, self.decoder_embedder = Embedder(reader), Embedder(config)
        self.encoder, self.decoder = encoder_stack(reader), decoder_stack(config, cross=True)
        self.logits, self.heads = logits_of(config), Heads(config)

    def __call__(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """The first of the outputs: where it is "vocabulary", logits float32 [b n v]."""
        return first(self.config, self.outputs(batch))

    def outputs(self, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Reads encoder_ and decoder_ inputs (or encoder_pixels), segments and positions, and pooled_at → "encoded"
        [b m d], "encoded_pooled" where the encoder's own choices have a pooler, and of the decoder "states" [b n d] and
        the outputs."""
        read, written = (
            {kind: batch.get(f"{side}_{kind}") for kind in ("segments", "positions")} for side in ("encoder", "decoder")
        )
        encoded = self.encode(batch[feature_of(self.config.side("encoder"))], *read.values())
        states, _ = self._states(
            batch["decoder_inputs"], encoded, read["segments"], written["segments"], written["positions"], None
        )
        found = {"encoded": encoded, "states": states}
        if self.config.encoder is not None and self.config.encoder.pooler:
            found["encoded_pooled"] = self.encoder_heads(encoded, read["segments"])["pooled"]
        found |= self.heads(states, written["segments"], batch.get("pooled_at"))
        if "vocabulary" in self.config.outputs:
            found |= of_vocabulary(self.logits, self._decoder_table, states, batch.get("targets"))
        return found

    @property
    def _decoder_table(self) -> Table:
        return self.tokens if self.config.share_embeddings else self.decoder_tokens

    def encode(
        self, tokens: jax.Array, segments: jax.Array | None = None, positions: jax.Array | None = None
    ) -> jax.Array:
        """tokens int [b m] → states [b m d]; segments 0 on padding, positions 0, 1, … where not given. Of images pixels
        float32 [b height width c] stand in the place of tokens. An encoder of its own has a width of its own."""
        x = self.encoder_embedder(
            self.tokens if self.config.encoder is None else self.encoder_tokens, tokens, positions
        )
        return self.encoder(x, Surroundings(segments=segments, positions=positions))[0]

    def decode(
        self,
        tokens: jax.Array,
        encoded: jax.Array | None = None,
        *,
        encoder_segments: jax.Array | None = None,
        segments: jax.Array | None = None,
        positions: jax.Array | None = None,
        cache: Cache | None = None,
    ) -> tuple[jax.Array, Any]:
        """Logits of the next token at every position.

        Args:
          tokens: int [b n]; with a cache, those that follow what it holds.
          encoded: [b m d] of `encode`. With a cache only the first call needs it: its keys and values are then kept.
          encoder_segments: int [b m], 0 on padding; likewise.
          segments, positions: int [b n] of the tokens; all one segment, 0, 1, … where not given.
          cache: from `init_cache`; the caller sees to it that there is room.

        Returns:
          Logits float32 [b n v] and the new cache (None where none was given).
        """
        states, cache = self._states(tokens, encoded, encoder_segments, segments, positions, cache)
        return self.logits(self._decoder_table, states), cache

    def _states(
        self,
        tokens: jax.Array,
        encoded: jax.Array | None,
        encoder_segments: jax.Array | None,
        segments: jax.Array | None,
        positions: jax.Array | None,
        cache: Cache | None,
    ) -> tuple[jax.Array, Cache | None]:
        lengths = None
        if cache is not None:
            segments, positions, lengths = cached_surroundings(self.config, tokens, segments, positions, cache)
            if encoded is None:
                encoder_segments = cache.encoded_segments
            elif encoder_segments is None:
                encoder_segments = jnp.ones(encoded.shape[:2], jnp.int32)
        elif (segments is None) != (encoder_segments is None):
            segments = jnp.ones_like(tokens) if segments is None else segments
            encoder_segments = jnp.ones(encoded.shape[:2], jnp.int32) if encoder_segments is None else encoder_segments
        if encoded is not None and encoded.shape[-1] != self.config.width:
            encoded = self.bridge(encoded)
        x = self.decoder_embedder(self._decoder_table, tokens, positions)
        around = Surroundings(
            segments=segments, positions=positions, encoded=encoded, encoded_segments=encoder_segments
        )
        x, layers = self.decoder(x, around, None if cache is None else cache.layers)
        if cache is not None:
            cache = cache.replace(layers=layers, lengths=lengths, encoded_segments=encoder_segments)
        return x, cache
