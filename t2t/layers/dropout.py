"""Dropout that happens exactly when a `dropout` key is given to `apply`: there is no flag to plumb or to forget."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Zeroes features with probability `rate` and scales the rest by 1 / (1 − rate) (Srivastava et al. 2014).

    Attributes:
      rate: the probability.
      over_length: one mask for all positions of a row (x [b n d] gets a mask [b 1 d]), as T5 does.
    """

    rate: float
    over_length: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.rate == 0.0 or not self.has_rng("dropout"):
            return x
        shape = (*x.shape[:-2], 1, x.shape[-1]) if self.over_length else x.shape
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.rate, shape)
        return jnp.where(keep, x / (1.0 - self.rate), 0.0).astype(x.dtype)
