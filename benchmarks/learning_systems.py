"""The systems that `learning.py` trains: each a model config, its data, and the papers' claim about it.

A system of a group differs from the others of the group in its attention alone.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from t2t import models
from t2t.attention import Dense, Linformer, Sparse, TransformerXL, fixed, local, strided

MASK = 256  # the id after the bytes
Batch = dict[str, np.ndarray]  # inputs, targets int [b n], weights float [b n]; starts, whether streams begin


@dataclasses.dataclass(frozen=True)
class System:
    """One line of the table.

    Attributes:
      group: "text", "mlm" or "images"; systems are compared within a group.
      config: the model.
      data: its batches.
      carried: whether the batches are consecutive segments, and a memory goes from one to the next.
      evaluated: other configs with the same parameters under which it is judged as well, by a name.
      seeds: how many runs.
    """

    group: str
    config: models.ModelConfig
    data: "Data"
    carried: bool = False
    evaluated: dict[str, models.ModelConfig] = dataclasses.field(default_factory=dict)
    seeds: int = 1


class Data(Protocol):
    """Batches to train on, endless, and to be judged on, the same each time."""

    def train(self, seed: int) -> Iterator[Batch]: ...

    def held_out(self) -> Iterator[Batch]: ...


@dataclasses.dataclass(frozen=True)
class Streams:
    """Next-byte prediction: `rows` streams of consecutive windows of n bytes, each stream from its own place in the
    text; held-out text likewise, so that every system predicts the very same bytes.

    Attributes:
      text, held: uint8.
    """

    text: np.ndarray
    held: np.ndarray
    rows: int
    n: int

    def train(self, seed):
        each = len(self.text) // self.rows
        text = np.concatenate([self.text, self.text[: self.n + 1]])  # a stream that ends goes on where the next began
        step, windows = 0, each // self.n
        while True:
            begin = (step % windows) * self.n
            yield self._batch(text, [row * each + begin for row in range(self.rows)], step % windows == 0)
            step += 1

    def held_out(self):
        each = (len(self.held) - 1) // self.rows
        for begin in range(0, each // self.n * self.n, self.n):
            yield self._batch(self.held, [row * each + begin for row in range(self.rows)], begin == 0)

    def _batch(self, text, begins, starts):
        rows = np.stack([text[b : b + self.n + 1] for b in begins]).astype(np.int32)
        weights = np.ones((len(begins), self.n), np.float32)
        return {"inputs": rows[:, :-1], "targets": rows[:, 1:], "weights": weights, "starts": np.asarray(starts)}


@dataclasses.dataclass(frozen=True)
class Masked:
    """Masked bytes: 15 % are to be told; of these 80 % are replaced by the mask, 10 % by a random byte (Devlin et al.
    2019, section 3.1)."""

    text: np.ndarray
    held: np.ndarray
    rows: int
    n: int

    def train(self, seed):
        generator = np.random.default_rng(seed)
        while True:
            begins = generator.integers(0, len(self.text) - self.n, self.rows)
            yield self._batch(self.text, begins, generator)

    def held_out(self):
        generator, size = np.random.default_rng(0), self.rows * self.n
        for begin in range(0, len(self.held) // size * size, size):
            yield self._batch(self.held, begin + self.n * np.arange(self.rows), generator)

    def _batch(self, text, begins, generator):
        rows = np.stack([text[b : b + self.n] for b in begins]).astype(np.int32)
        chosen, how = generator.random(rows.shape) < 0.15, generator.random(rows.shape)
        wrong = np.where(how < 0.8, MASK, np.where(how < 0.9, generator.integers(0, 256, rows.shape), rows))
        inputs = np.where(chosen, wrong, rows).astype(np.int32)
        return {"inputs": inputs, "targets": rows, "weights": chosen.astype(np.float32), "starts": np.asarray(True)}


@dataclasses.dataclass(frozen=True)
class Images:
    """Pixel by pixel: each of 17 grey levels from those before it, row by row, after a start.

    Attributes:
      images, held: ints [images pixels].
    """

    images: np.ndarray
    held: np.ndarray
    rows: int

    def train(self, seed):
        generator = np.random.default_rng(seed)
        while True:
            yield self._batch(self.images[generator.integers(0, len(self.images), self.rows)])

    def held_out(self):
        for begin in range(0, len(self.held) // self.rows * self.rows, self.rows):
            yield self._batch(self.held[begin : begin + self.rows])

    def _batch(self, images):
        images = images.astype(np.int32)
        inputs = np.pad(images[:, :-1], ((0, 0), (1, 0)), constant_values=17)
        weights = np.ones(images.shape, np.float32)
        return {"inputs": inputs, "targets": images, "weights": weights, "starts": np.asarray(True)}


def read_text() -> tuple[np.ndarray, np.ndarray]:
    """The bytes of WikiText-2 to train on and to be judged on; its training file is not carried, so that the test
    file's text is learned and the validation file's is held out."""
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("T2T_DATA", beside)) / "wikitext2"
    if not folder.is_dir():
        raise SystemExit(f"No folder {folder}: set T2T_DATA to the folder of real data that has wikitext2/.")
    text, held = ((folder / name).read_bytes() for name in ("test.txt", "valid.txt"))
    return np.frombuffer(text, np.uint8), np.frombuffer(held, np.uint8)


def systems(quick: bool) -> dict[str, System]:
    """All of them, by name."""
    text, held = read_text()
    n, width, layers = (128, 32, 2) if quick else (2048, 128, 4)
    held, tokens, segment = held[: (4 * n if quick else 2**17) + 1], 2 * n, n // 4
    stride, summaries = (16, 4) if quick else (64, 16)
    common = {"width": width, "heads": 4, "mlp_width": 4 * width, "activation": "gelu", "init": "normal"}
    decoder = {**common, "architecture": "decoder", "vocab_size": 256, "decoder_layers": layers, "max_length": n}
    decoder["residual_init_scale"] = (2 * layers) ** -0.5
    encoder = {**common, "architecture": "encoder", "vocab_size": 257, "encoder_layers": layers, "max_length": n}
    encoder["residual_init_scale"] = (2 * layers) ** -0.5

    def lm(attention, length=n, **more):
        config = models.ModelConfig(**decoder, attention=attention, positions="rotary")
        return System("text", config, Streams(text, held, tokens // length, length), **more)

    def recurrent(memory):
        return models.ModelConfig(**decoder, attention=TransformerXL(memory=memory), positions="none")

    found = {
        "dense": lm(Dense()),
        "strided": lm(Sparse(pattern=local(stride) | strided(stride))),
        "fixed": lm(Sparse(pattern=fixed(stride, summaries))),
        "local": lm(Sparse(pattern=local(2 * stride))),
        f"dense, context {segment}": lm(Dense(), segment),
        f"Transformer-XL, {segment} + memory {segment}": System(
            "text", recurrent(segment), Streams(text, held, tokens // segment, segment), carried=True,
            evaluated={
                f"Transformer-XL, memory {memory} at evaluation": recurrent(memory)
                for memory in (n - segment, 2 * n - segment)
            },
        ),
        f"Transformer-XL, {segment} without memory": System(
            "text", recurrent(segment), Streams(text, held, tokens // segment, segment)
        ),
    }  # fmt: skip

    def mlm(attention):
        config = models.ModelConfig(**encoder, attention=attention, positions="rotary")
        return System("mlm", config, Masked(text, held, tokens // n, n))

    found["MLM, dense"] = mlm(Dense())
    for share in (16, 8, 4):
        for sharing in ("head", "layer"):
            name = f"MLM, Linformer, n/{share} = {n // share}, sharing {sharing}"
            found[name] = mlm(Linformer(rank=n // share, length=n, sharing=sharing))

    images, images_held = read_images()
    pixels = {**decoder, "vocab_size": 18, "max_length": 64, "width": 64, "mlp_width": 256, "positions": "learned"}
    for name, attention in {
        "dense": Dense(),
        "strided": Sparse(pattern=local(8) | strided(8)),
        "fixed": Sparse(pattern=fixed(8, 2)),
        "local": Sparse(pattern=local(16)),
    }.items():
        config = models.ModelConfig(**pixels, attention=attention)
        found[f"images, {name}"] = System("images", config, Images(images, images_held, 32), seeds=1 if quick else 3)
    return found


def read_images() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits of 8 × 8 pixels, 17 grey levels, as sequences of 64: 1,509 to learn, 288 held out."""
    from sklearn.datasets import load_digits

    images = load_digits().data.astype(np.int32)
    images = images[np.random.default_rng(0).permutation(len(images))]
    return images[288:], images[:288]
