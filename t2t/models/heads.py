"""What is read off the last states besides logits over the vocabulary: a projection each, for a sequence or a token."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.layers.activations import ACTIVATIONS
from t2t.layers.dropout import Dropout
from t2t.layers.feed_forward import FeedForward
from t2t.layers.norm import Norm
from t2t.models.config import ModelConfig
from t2t.models.embedder import dense

OF_SEQUENCES = ("pair", "sequence", "choice")
OF_TOKENS = ("replaced", "tagging", "spans")


class Heads(nn.Module):
    """The outputs of a config, and the state that stands for the sequence.

    | output | of | gives |
    |---|---|---|
    | pair | a sequence | [b 2]: whether its second part follows the first (BERT's next sentence, ALBERT's order) |
    | sequence | a sequence | [b labels]: a class, or a number |
    | choice | a sequence | [b]: how good an answer it is, beside other sequences |
    | replaced | a token | [b n]: whether it was put there by another model (ELECTRA) |
    | tagging | a token | [b n labels] |
    | spans | a token | [b n 2]: whether an answer begins with it, and ends with it |
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        states: jax.Array,
        segments: jax.Array | None = None,
        at: jax.Array | None = None,
        summary: jax.Array | None = None,
        unanswerable: jax.Array | None = None,
    ) -> dict[str, jax.Array]:
        """States of all tokens into what the config's `outputs` name, in float32.

        Args:
          states: [b n d].
          segments: int [b n], 0 on padding; says which token is the last.
          at: int [b], the token whose state stands for the sequence, where it is neither the first nor the last.
          summary: [b n' d], the states among which is that of the sequence, where it is not among these (molecules).
          unanswerable: int [b n], 1 where no answer begins or ends: there "spans" are a million lower.

        Returns:
          The outputs by name, and "pooled" [b d] where something is read off it or there is a pooler.
        """
        config, found = self.config, {}
        drop = Dropout(config.dropout)
        if config.pooler or set(config.outputs) & set(OF_SEQUENCES):
            pooled = self._pooled(states, segments, at) if summary is None else self._pooled(summary, None, None)
            if config.pooler:
                width = config.width if config.pooler_width is None else config.pooler_width
                pooled = ACTIVATIONS[config.pooler](dense(config, "pooler", states.shape[-1], width)(pooled))
            found["pooled"] = pooled.astype(jnp.float32)
        for name in config.outputs:
            if name in OF_SEQUENCES:
                found[name] = self._out(name, drop(pooled))
            elif name in OF_TOKENS:
                found[name] = self._out(name, self._of_token(name, states))
        if "spans" in found and unanswerable is not None:
            found["spans"] = found["spans"] - 1e6 * unanswerable[..., None]
        return found

    def _pooled(self, states: jax.Array, segments: jax.Array | None, at: jax.Array | None) -> jax.Array:
        if at is None and self.config.pooled == "first":
            return states[:, 0]
        if at is None and segments is None:
            return states[:, -1]
        if at is None:
            at = states.shape[1] - 1 - jnp.argmax((segments > 0)[:, ::-1], axis=1)
        return jnp.take_along_axis(states, at[:, None, None], axis=1)[:, 0]

    def _of_token(self, name: str, states: jax.Array) -> jax.Array:
        """States as a projection of tokens reads them: ELECTRA's discriminator has a dense layer of its own before its
        answer (Clark et al. 2020), BigBird's spans a feed-forward with its residual and norm."""
        config = self.config
        if name == "replaced":
            return ACTIVATIONS[config.activation](
                dense(config, "replaced_transform", states.shape[-1], config.width)(states)
            )
        states = Dropout(config.dropout)(states)
        if name == "spans" and config.spans_feed_forward:
            changed = FeedForward(config, name="spans_feed_forward")(states)
            return Norm(config, name="spans_norm")(states + changed)
        return states

    def _out(self, name: str, x: jax.Array) -> jax.Array:
        width = {"pair": 2, "choice": 1, "replaced": 1, "spans": 2}.get(name, self.config.labels)
        out = dense(self.config, name, x.shape[-1], width, bias=self.config.labels_bias)(x).astype(jnp.float32)
        return out[..., 0] if name in ("choice", "replaced") else out


def first(config: ModelConfig, found: dict[str, jax.Array]) -> jax.Array:
    """The first output as logits whose last axis is that of the classes: those of spans are [b 2 n], the start and the
    end each chosen among the tokens."""
    if not config.outputs:
        return found["states"]
    logits = found[config.outputs[0]]
    return jnp.moveaxis(logits, 1, 2) if config.outputs[0] == "spans" else logits
