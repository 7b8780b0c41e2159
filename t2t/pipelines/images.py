"""Images as a model of patches reads them, by the preprocessor_config.json of its folder."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from t2t.errors import DataError
from t2t.folders.tensors import json_of

CONFIG = "preprocessor_config.json"
MODES = {1: "L", 3: "RGB"}  # of Pillow, by channels


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """How images become pixels.

    Attributes:
      channels: of the model.
      resize: (height, width), or the shorter side alone; None to leave sizes as they are.
      crop: (height, width) of the middle that is kept; None for all.
      resample: how Pillow resizes, by its number.
      scale: that pixels of 0 to 255 are multiplied by.
      mean, std: by which each channel is shifted and divided then.
    """

    channels: int = 3
    resize: tuple[int, int] | int | None = None
    crop: tuple[int, int] | None = None
    resample: int = 2
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, folder: pathlib.Path, channels: int) -> "ImageReader":
        """That of a folder.

        Raises:
          DataError: there is no preprocessor_config.json, or one that says nothing of what it asks for.
        """
        path = folder / CONFIG
        if not path.is_file():
            raise DataError(f"There is no {CONFIG} in {folder}, which says how images are read: put it there.")
        said = json_of(path)
        resizes, crops, normalises = (said.get(f"do_{what}") for what in ("resize", "center_crop", "normalize"))
        for asked, name in (
            (resizes, "size"),
            (crops, "crop_size"),
            (normalises, "image_mean"),
            (normalises, "image_std"),
        ):
            if asked and said.get(name) is None:
                raise DataError(f"{path} lacks {name}, which it needs for what it asks for: add it.")
        return cls(
            channels=channels,
            resize=_sides(said["size"], path) if resizes else None,
            crop=_sides(said["crop_size"], path) if crops else None,
            resample=said.get("resample", cls.resample),
            scale=said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0,
            mean=_numbers(said["image_mean"]) if normalises else cls.mean,
            std=_numbers(said["image_std"]) if normalises else cls.std,
        )

    def __call__(self, given: Any) -> np.ndarray:
        """Pixels float32 [c height width] of an image: a path, one of Pillow's, or an array of 0 to 255, [height width]
        or [height width c].

        Raises:
          DataError: what is given is no image.
        """
        image = _opened(given).convert(MODES.get(self.channels, "RGB"))
        if self.resize is not None:
            image = image.resize(self._size(image.size), self.resample)
        pixels = np.asarray(image, np.float32)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if self.crop is not None:
            pixels = _middle(pixels, self.crop)
        pixels = (pixels * np.float32(self.scale) - np.float32(self.mean)) / np.float32(self.std)
        return np.moveaxis(pixels, 2, 0).astype(np.float32)

    def _size(self, old: tuple[int, int]) -> tuple[int, int]:
        """The new width and height, in Pillow's order, as the old are."""
        if not isinstance(self.resize, int):
            return self.resize[1], self.resize[0]
        short = min(old)
        return tuple(int(side * self.resize / short) for side in old)


def _opened(given: Any) -> Image.Image:
    if isinstance(given, Image.Image):
        return given
    if isinstance(given, (str, pathlib.Path)):
        path = pathlib.Path(given).expanduser()
        try:
            return Image.open(path)
        except FileNotFoundError:
            raise DataError(f"There is no image {path}; images are files of this machine.") from None
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{path} is no image that can be read ({error}).") from None
    array = np.asarray(given)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise DataError(
            f"Expected an image: a path, one of Pillow's, or uint8 [height width c]; found {array.dtype} {array.shape}."
        )
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _middle(pixels: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """The middle of an image; what it lacks is black."""
    for axis, side in enumerate(sides):
        before = max(side - pixels.shape[axis], 0)
        widths = [(0, 0)] * 3
        widths[axis] = (before - before // 2, before // 2)
        pixels = np.pad(pixels, widths)
        start = (pixels.shape[axis] - side) // 2
        pixels = np.take(pixels, range(start, start + side), axis=axis)
    return pixels


def _sides(said: Any, path: pathlib.Path) -> Any:
    """(height, width), or the shorter side alone."""
    if isinstance(said, int):
        return said, said
    if isinstance(said, dict) and {"height", "width"} <= said.keys():
        return said["height"], said["width"]
    if isinstance(said, dict) and "shortest_edge" in said:
        return said["shortest_edge"]
    raise DataError(f"{path}: expected sizes as height and width, or shortest_edge, found {said!r}.")


def _numbers(said: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(x) for x in np.ravel(said))
