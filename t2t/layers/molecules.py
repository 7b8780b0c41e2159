"""A deep stack over fewer positions than there are tokens: several tokens become one molecule, and molecules are told
to tokens again (Clark et al. 2022, CANINE, section 3.2 and 3.3)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention import AttentionConfig, Dense, Sparse
from t2t.errors import ConfigError, DataError
from t2t.layers.activations import ACTIVATIONS
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer
from t2t.layers.norm import Norm
from t2t.layers.projection import Projection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Molecules:
    """How an encoder goes from tokens to molecules and back.

    Attributes:
      rate: tokens in a molecule.
      kernel: how many neighbouring tokens, and what molecules told them, are looked at on the way back.
      first: the attention of the one layer over tokens before.
      last: that of the one layer over tokens after.
    """

    rate: int = 4
    kernel: int = 4
    first: AttentionConfig = Sparse(pattern="blocks(128)", counted="row")
    last: AttentionConfig = Dense()

    def __post_init__(self):
        if self.rate < 1 or self.kernel < 1:
            raise ConfigError(f"molecules: expected rate and kernel of at least 1, found {self.rate}, {self.kernel}.")


class Downsampling(nn.Module):
    """Each `rate` tokens into a molecule, by a strided convolution. The first token stays a molecule of its own, and
    the last molecule makes room for it."""

    config: LayerConfig
    molecules: Molecules

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [b n d] → [b n//rate d].

        Raises:
          DataError: fewer tokens than a molecule has.
        """
        config, rate, d = self.config, self.molecules.rate, x.shape[-1]
        count = x.shape[1] // rate
        if not count:
            raise DataError(f"molecules: expected at least rate {rate} tokens in a row, found {x.shape[1]}: pad it.")
        init, axes = initializer(config, "logits"), (None, "embed", None)
        windows = x[:, : count * rate].reshape(len(x), count, rate, d)
        joined = Projection((rate, d), (d,), axes, init, True, config.compute_dtype, name="convolution")(windows)
        joined = ACTIVATIONS[config.activation](joined)
        return Norm(config, name="norm")(jnp.concatenate([x[:, :1], joined[:, :-1]], axis=1))

    def segments(self, segments: jax.Array) -> jax.Array:
        """int [b n] → [b n//rate], 0 where all tokens are padding. As published, the i-th is that of the i-th tokens,
        though the molecule of these is the one after it."""
        rate, count = self.molecules.rate, segments.shape[1] // self.molecules.rate
        return segments[:, : count * rate].reshape(len(segments), count, rate).max(-1)


class Upsampling(nn.Module):
    """What molecules say to the tokens that they are made of, beside these, through a convolution."""

    config: LayerConfig
    molecules: Molecules

    @nn.compact
    def __call__(self, x: jax.Array, told: jax.Array) -> jax.Array:
        """Tokens x [b n d] and molecules [b n//rate d] → [b n d]. Tokens that make no molecule listen to the last."""
        config, kernel, (n, d) = self.config, self.molecules.kernel, x.shape[1:]
        own = jnp.minimum(jnp.arange(n) // self.molecules.rate + 1, told.shape[1] - 1)  # the first is no one's
        x = jnp.concatenate([x, told[:, own]], axis=-1)
        before = (kernel - 1) // 2
        x = jnp.pad(x, ((0, 0), (before, kernel - 1 - before), (0, 0)))
        windows = jnp.stack([x[:, i : i + n] for i in range(kernel)], axis=2)
        init, axes = initializer(config, "logits"), (None, "embed", None)
        x = Projection((kernel, 2 * d), (d,), axes, init, True, config.compute_dtype, name="convolution")(windows)
        return Norm(config, name="norm")(ACTIVATIONS[config.activation](x))
