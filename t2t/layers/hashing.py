"""Characters embedded by their hashes: as many tables as hashes, each a slice of the width, and no vocabulary (Clark et
al. 2022, CANINE, section 3.1)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.errors import ConfigError
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer

PRIMES = (31, 43, 59, 61, 73, 97, 103, 113, 137, 149, 157, 173, 181, 193, 211, 223)  # one for each hash


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hashing:
    """Which buckets a character falls into: by the i-th hash (id + 1) · prime_i mod buckets.

    Attributes:
      functions: how many hashes.
      buckets: rows of each table.
    """

    functions: int = 8
    buckets: int = 16_384

    def __post_init__(self):
        if not 1 <= self.functions <= len(PRIMES):
            raise ConfigError(f"hashing: expected from 1 to {len(PRIMES)} functions, found {self.functions}.")
        if self.buckets < 1:
            raise ConfigError(f"hashing: expected at least 1 of buckets, found {self.buckets}.")


class HashedEmbedding(nn.Module):
    """A row of each table for each token, side by side.

    Attributes:
      width: of all of them together.
    """

    config: LayerConfig
    hashing: Hashing
    width: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """tokens int [b n], below 2^31 / 223 → [b n width] in the dtype of the computation."""
        functions, buckets = self.hashing.functions, self.hashing.buckets
        init = nn.with_logical_partitioning(initializer(self.config, "embedding"), ("vocab", "embed"))
        rows = [
            jnp.take(
                self.param(f"table_{i}", init, (buckets, self.width // functions), jnp.float32),
                (tokens + 1) * prime % buckets,
                axis=0,
            )
            for i, prime in enumerate(PRIMES[:functions])
        ]
        return jnp.concatenate(rows, axis=-1).astype(self.config.compute_dtype)
