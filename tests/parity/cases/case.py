"""What a case is: a class of transformers with its config, and what both are called with."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

VOCABULARY = 61
IDS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 0}
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
    """One model, its config and its inputs.

    Attributes:
      class_name, config_name: of transformers.
      settings: of the config.
      arguments: (a generator, the settings) → what the model is called with, under transformers' names, labels too.
      generates: whether greedy and beam search are compared.
      untied: whether the logits' matrix is made another than the table (some releases tie whatever the config says).
    """

    class_name: str
    config_name: str
    settings: Mapping[str, Any]
    arguments: Callable[[np.random.Generator, Mapping[str, Any]], Arrays]
    generates: bool = False
    untied: bool = False


def padded(
    generator: np.random.Generator,
    settings: Mapping[str, Any],
    rows: int = 3,
    length: int = 11,
    left: bool = False,
) -> Arrays:
    """Token ids of odd length: the second row is padded on the right, and where told the third on the left (not where
    something is read off the first token, which would be padding)."""
    mask = np.ones((rows, length), np.int64)
    mask[1, length // 2 + 1 :] = 0
    if left:
        mask[2, : length // 3 + 1] = 0
    tokens = generator.integers(3, settings["vocab_size"], mask.shape)
    given = {"input_ids": np.where(mask, tokens, settings["pad_token_id"]), "attention_mask": mask}
    if settings.get("type_vocab_size"):
        given["token_type_ids"] = generator.integers(0, settings["type_vocab_size"], mask.shape)
    return given


def masked_lm(
    generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11, left: bool = True
) -> Arrays:
    """Some of the real tokens are learned."""
    given = padded(generator, settings, length=length, left=left)
    learned = (given["attention_mask"] > 0) & (generator.random(given["input_ids"].shape) < 0.4)
    learned[:, 5] = True
    labels = generator.integers(3, settings["vocab_size"], learned.shape)
    return given | {"labels": np.where(learned, labels, -100)}


def pair(label: str) -> Callable[..., Arrays]:
    """With a masked language model, and whether the second sentence follows the first."""
    return lambda generator, settings: masked_lm(generator, settings, left=False) | {label: np.array([0, 1, 1])}


def followed(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """Whether the second sentence follows the first, alone."""
    return padded(generator, settings) | {"labels": np.array([0, 1, 1])}


def base(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11, left: bool = False) -> Arrays:
    """States alone: nothing is learned."""
    return padded(generator, settings, length=length, left=left)


def classified(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11) -> Arrays:
    """A class for each row."""
    labels = len(settings.get("id2label", "ab"))
    return padded(generator, settings, length=length) | {"labels": generator.integers(0, labels, 3)}


def measured(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11) -> Arrays:
    """A number for each row."""
    return padded(generator, settings, length=length) | {"labels": generator.normal(size=3).astype(np.float32)}


def labelled(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11) -> Arrays:
    """Several labels at once for each row."""
    labels = generator.integers(0, 2, (3, len(settings["id2label"])))
    return padded(generator, settings, length=length) | {"labels": labels.astype(np.float32)}


def tagged(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11) -> Arrays:
    """A label for each real token."""
    given = padded(generator, settings, length=length, left=True)
    tags = generator.integers(0, len(settings.get("id2label", "ab")), given["input_ids"].shape)
    return given | {"labels": np.where(given["attention_mask"] > 0, tags, -100)}


def replaced(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """Whether each token was replaced."""
    given = padded(generator, settings, left=True)
    return given | {"labels": generator.integers(0, 2, given["input_ids"].shape)}


def spanned(generator: np.random.Generator, settings: Mapping[str, Any], length: int = 11) -> Arrays:
    """An answer's ends, one of them outside of the sequence."""
    ends = {"start_positions": np.array([2, 1, 50]), "end_positions": np.array([4, 3, 7])}
    return padded(generator, settings, length=length, left=True) | ends


def chosen(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """Three choices for each of two questions."""
    given = {name: value.reshape(2, 3, -1) for name, value in padded(generator, settings, rows=6).items()}
    return given | {"labels": np.array([2, 0])}


def language_model(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """Of a decoder: its own next token."""
    given = padded(generator, settings, rows=2)
    return given | {"labels": np.where(given["attention_mask"] > 0, given["input_ids"], -100)}


def text_to_text(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """Of an encoder-decoder: targets, of which the second row has fewer."""
    labels = generator.integers(3, settings["vocab_size"], (2, 7))
    labels[1, 5:] = -100
    return padded(generator, settings, rows=2) | {"labels": labels}


EOS = 1


def ended(generator: np.random.Generator, settings: Mapping[str, Any]) -> Arrays:
    """A class for each row, read off its last end of sequence."""
    given = padded(generator, settings, rows=2)
    last = given["attention_mask"].sum(axis=1) - 1
    given["input_ids"][np.arange(2), last] = EOS
    labels = generator.integers(0, len(settings.get("id2label", "ab")), 2)
    return given | {"labels": labels}


def names(count: int) -> dict[str, Any]:
    """Labels, in settings."""
    return {"id2label": {i: f"L{i}" for i in range(count)}, "label2id": {f"L{i}": i for i in range(count)}}
