"""Rotary positions: queries and keys turn with their place, so that their product knows how far apart they stand."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np


@flax.struct.dataclass
class Rotation:
    """The turn of every position (Su et al. 2021, equation 34).

    The features that turn are the first r of a head; feature i goes with feature i + r/2 (the halves of GPT-NeoX and
    Llama), so that public weights of these fit. Angles and products are float32.

    Attributes:
      cos, sin: float32 [b n 1 r/2], or [1 n 1 r/2] for all rows.
    """

    cos: jax.Array
    sin: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """Queries or keys [b n h k] → the same, turned."""
        half = self.cos.shape[-1]
        first, second, rest = jnp.split(x, [half, 2 * half], axis=-1)
        a, b = first * self.cos - second * self.sin, second * self.cos + first * self.sin
        return jnp.concatenate([a.astype(x.dtype), b.astype(x.dtype), rest], axis=-1)


def rotation(positions: jax.Array, width: int, base: float) -> Rotation:
    """The turns of positions: the i-th pair of features turns by position · base^(−2i/r) (section 3.2.2).

    Args:
      positions: int [b n], or [1 n] for all rows.
      width: r, how many features of a head turn; even.
      base: Θ's, 10,000 in the paper.
    """
    rates = (base ** (-np.arange(0, width, 2) / width)).astype(np.float32)
    angles = positions[:, :, None, None].astype(jnp.float32) * rates
    return Rotation(jnp.cos(angles), jnp.sin(angles))
