"""The encoder alone: every token sees every other, and gets a state and logits (BERT and its kin)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.errors import DataError
from t2t.layers import Surroundings
from t2t.layers.streams import masks
from t2t.models.cache import Cache
from t2t.models.config import ModelConfig
from t2t.models.decoder import cached_surroundings
from t2t.models.embedder import Embedder, logits_of, of_vocabulary, token_table
from t2t.models.encoder_stack import encoder_stack
from t2t.models.heads import Heads, first
from t2t.models.inputs import feature_of


class Encoder(nn.Module):
    """An encoder, and what a config reads off its states: logits over the vocabulary for each position, for one."""

    config: ModelConfig

    def setup(self):
        config = self.config
        self.tokens = token_table(config)
        self.encoder_embedder = Embedder(config)
        self.encoder = encoder_stack(config)
        self.logits, self.heads = logits_of(config), Heads(config)

    def __call__(self, batch: Mapping[str, jax.Array], memory: Cache | None = None) -> Any:
        """The first of the outputs: where it is "vocabulary", logits float32 [b n v].

        With a memory, of `init_memory` or of the segment before, the memory after it is returned as well.
        """
        found = self.outputs(batch, memory)
        logits = first(self.config, found)
        return logits if memory is None else (logits, found["memory"])

    def outputs(self, batch: Mapping[str, jax.Array], memory: Cache | None = None) -> dict[str, Any]:
        """Reads encoder_ inputs (or pixels), segments, positions, types, query_segments, mask, targets and
        global_tokens, pooled_at and unanswerable → "states" [b n d], the outputs, and "memory" where one was given.

        A mask [b n n] says which tokens (columns) each token (row) may see. With targets int [b p] all outputs are of
        the queries at these places ([b p d]), which see what their tokens see.
        """
        names = ("segments", "positions", "types", "query_segments", "mask", "targets", "global_tokens")
        tokens, around = batch[feature_of(self.config)], (batch.get(f"encoder_{name}") for name in names)
        states, summary, memory = self._states(tokens, *around, memory=memory)
        segments = None
        if batch.get("encoder_targets") is not None:
            states = states[:, tokens.shape[1] :]
        else:
            segments = batch.get("encoder_segments")
        read = self.heads(states, segments, batch.get("pooled_at"), summary, batch.get("unanswerable"))
        found = {"states": states, **read}
        if "vocabulary" in self.config.outputs:
            found |= of_vocabulary(self.logits, self.tokens, states, batch.get("targets"))
        return found if memory is None else {**found, "memory": memory}

    def encode(
        self,
        tokens: jax.Array,
        segments: jax.Array | None = None,
        positions: jax.Array | None = None,
        types: jax.Array | None = None,
        query_segments: jax.Array | None = None,
        global_tokens: jax.Array | None = None,
    ) -> jax.Array:
        """tokens int [b n] → states [b n d]; segments 0 on padding, positions 0, 1, … and types 0 where not given;
        global_tokens 1 for those that see and are seen by all, where the mechanism knows such tokens. Of images pixels
        float32 [b height width c] stand in the place of tokens."""
        return self._states(tokens, segments, positions, types, query_segments, global_tokens=global_tokens)[0]

    def _states(
        self,
        tokens: jax.Array,
        segments: jax.Array | None,
        positions: jax.Array | None,
        types: jax.Array | None,
        query_segments: jax.Array | None = None,
        mask: jax.Array | None = None,
        targets: jax.Array | None = None,
        global_tokens: jax.Array | None = None,
        memory: Cache | None = None,
    ) -> tuple[jax.Array, jax.Array | None, Cache | None]:
        """States, those of molecules where there are such, and the new memory."""
        lengths, mask = None, None if mask is None else mask.astype(bool)
        if memory is not None:
            segments, positions, lengths = cached_surroundings(self.config, tokens, segments, positions, memory)
        if targets is not None:
            if not self.config.query_stream:
                raise DataError("encoder_targets are of a model with a query_stream, found False: leave them out.")
            mask = masks(mask, targets, tokens.shape[1])
        x = self.encoder_embedder(self.tokens, tokens, positions, types, targets)
        if self.config.embedding_mask and segments is not None:
            x = jnp.where(segments[..., None] > 0, x, jnp.zeros((), x.dtype))
        around = Surroundings(
            segments=segments,
            positions=positions,
            query_segments=query_segments,
            types=types,
            targets=targets,
            mask=mask,
            global_tokens=global_tokens,
        )
        if self.config.molecules is not None:
            return *self.encoder(x, around), memory
        x, layers = self.encoder(x, around, None if memory is None else memory.layers)
        return x, None, None if memory is None else memory.replace(layers=layers, lengths=lengths)
