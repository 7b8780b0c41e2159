"""Images as sequences: patches side by side, each projected to a width, with a token in front that stands for the whole
(Dosovitskiy et al. 2021, equation 1)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t.errors import ConfigError, DataError
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer
from t2t.layers.projection import Projection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patches:
    """How images are cut. What is left of a side that is no multiple of the patch's is not seen.

    Attributes:
      image: height and width of images, in pixels.
      patch: height and width of a patch.
      channels: numbers in a pixel.
      interpolate: whether images may have other sizes, over which learned positions then stretch; if not they are
        refused.
    """

    image: tuple[int, int]
    patch: tuple[int, int]
    channels: int = 3
    interpolate: bool = True

    def __post_init__(self):
        if min(*self.image, *self.patch, self.channels) < 1:
            raise ConfigError(
                f"patches: expected sides and channels of at least 1, found image {self.image}, patch {self.patch} and "
                f"channels {self.channels}."
            )
        if min(self.grid) < 1:
            raise ConfigError(f"patches: an image of {self.image} holds no patch of {self.patch}: make patch smaller.")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches in an image."""
        return self.cut(self.image)

    @property
    def length(self) -> int:
        """How many tokens an image becomes, the one in front among them."""
        return 1 + self.grid[0] * self.grid[1]

    def cut(self, image: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of patches in an image of another size."""
        return image[0] // self.patch[0], image[1] // self.patch[1]

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises DataError unless an array of this shape is a batch of images that can be read."""
        height, width = self.image
        if len(shape) != 4 or shape[3] != self.channels:
            raise DataError(
                f"encoder_pixels: expected [batch {height} {width} {self.channels}], channels last, found "
                f"{list(shape)}."
            )
        if min(self.cut(shape[1:3])) < 1:
            raise DataError(f"encoder_pixels: images of {shape[1:3]} hold no patch of {self.patch}: make them larger.")
        if shape[1:3] != self.image and not self.interpolate:
            raise DataError(
                f"encoder_pixels: expected images of {self.image}, found {shape[1:3]}: resize them, or let positions "
                "stretch over them (patches.interpolate)."
            )


class PatchEmbedding(nn.Module):
    """Pixels [b height width c] → [b 1+patches width], row by row, after a learned token."""

    config: LayerConfig
    patches: Patches
    width: int

    @nn.compact
    def __call__(self, pixels: jax.Array) -> jax.Array:
        config, (height, width), c = self.config, self.patches.patch, self.patches.channels
        self.patches.check(pixels.shape)
        rows, columns = self.patches.cut(pixels.shape[1:3])
        x = pixels[:, : rows * height, : columns * width].reshape(-1, rows, height, columns, width, c)
        x = x.swapaxes(2, 3).reshape(-1, rows * columns, height, width, c)
        init, axes = initializer(config, "embedding"), (None, None, None, "embed")
        x = Projection((height, width, c), (self.width,), axes, init, True, config.compute_dtype, name="patches")(x)
        whole = self.param("whole", nn.with_logical_partitioning(init, (None, "embed")), (1, self.width), jnp.float32)
        return jnp.concatenate([jnp.broadcast_to(whole.astype(x.dtype), (len(x), 1, self.width)), x], axis=1)


def stretched(table: jax.Array, old: tuple[int, int], new: tuple[int, int]) -> jax.Array:
    """Rows of positions for a grid of another size: the first as it is, the others, [old[0]·old[1] d], between their
    neighbours by cubic convolution (Keys 1981)."""
    if old == new:
        return table
    places = table[1:].reshape(*old, -1)
    places = jnp.einsum("ri,cj,ijd->rcd", *(cubic(*sides) for sides in zip(old, new)), places)
    return jnp.concatenate([table[:1], places.reshape(new[0] * new[1], -1)])


def cubic(old: int, new: int) -> np.ndarray:
    """The weights float32 [new old] of `old` samples in `new` ones that divide the same length, ends repeated. The
    slope at the first neighbour is −0.75, as PyTorch has it."""
    slope, place = -0.75, (np.arange(new) + 0.5) * old / new - 0.5
    first = np.floor(place).astype(int)
    weights = np.zeros((new, old))
    for step in range(-1, 3):
        t = np.abs(place - first - step)
        near = ((slope + 2) * t - (slope + 3)) * t**2 + 1
        far = slope * (((t - 5) * t + 8) * t - 4)
        np.add.at(weights, (np.arange(new), np.clip(first + step, 0, old - 1)), np.where(t <= 1, near, far))
    return weights.astype(np.float32)
