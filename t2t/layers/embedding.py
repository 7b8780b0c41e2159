"""The token table: rows in, and where it is tied, logits out."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention.products import wide_einsum
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer


class Embedding(nn.Module):
    """A table [v d] of float32.

    Attributes:
      vocab_size: v.
      width: d.
    """

    config: LayerConfig
    vocab_size: int
    width: int

    def setup(self):
        init = nn.with_logical_partitioning(initializer(self.config, "embedding"), ("vocab", "embed"))
        self.table = self.param("table", init, (self.vocab_size, self.width), jnp.float32)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """tokens int [b n] → [b n d] in the dtype of the computation."""
        return jnp.take(self.table, tokens, axis=0).astype(self.config.compute_dtype)

    def logits(self, x: jax.Array) -> jax.Array:
        """x [b n d] → x · tableᵀ, float32 [b n v]."""
        return wide_einsum("bnd,vd->bnv", x, self.table.astype(x.dtype))
