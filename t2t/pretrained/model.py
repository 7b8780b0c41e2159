"""A published model: read from a folder, called under transformers' names, and written back."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t import folders
from t2t.checkpoints.digests import write_atomically
from t2t.data.vocabulary import FolderVocabulary, copy_files, from_folder
from t2t.errors import DataError
from t2t.families.family import Family
from t2t.folders.tensors import json_of
from t2t.inference import LabelModel, TextModel
from t2t.models import Cache, ModelConfig, hidden_states
from t2t.models import build as build_model
from t2t.models.mems import memory_of, mems_after, remembers
from t2t.pretrained.arguments import Features, features_of
from t2t.pretrained.generate import generate_ids
from t2t.pretrained.losses import loss_of
from t2t.pretrained.results import Result, result_of
from t2t.pretrained.text import label_model, states_of, text_model

GENERATION = "generation_config.json"


@dataclasses.dataclass
class Pretrained:
    """A model of a public folder.

    Attributes:
      config: of the model.
      params: unboxed; float32, unless `param_dtype` was given.
      family: whose names its tensors have.
      values: of config.json.
      folder: that it was read from; its tokenizer is there.
      generation: the values of generation_config.json; None where the folder has none.
    """

    config: ModelConfig
    params: Any
    family: Family
    values: dict[str, Any]
    folder: pathlib.Path
    generation: dict[str, Any] | None = None

    @functools.cached_property
    def vocabulary(self) -> FolderVocabulary:
        """The tokenizer of the folder.

        Raises:
          DataError: it has none, a damaged one, or one with more ids than the model knows; see `from_folder`.
        """
        return from_folder(self.folder, rows=self.config.vocab_size or None)

    @property
    def module(self) -> nn.Module:
        """The Flax module: `module.apply({"params": model.params}, batch)`."""
        return build_model(self.config)

    @property
    def _problem(self) -> str | None:
        """What labels of sequences are."""
        return self.values.get("problem_type") or self.family.calls.problem

    def __call__(self, *, output_hidden_states: bool = False, **arguments: Any) -> Result:
        """The outputs for arrays under transformers' names: `input_ids`, `attention_mask`, `token_type_ids`,
        `decoder_input_ids`, `labels` and what else the family reads.

        Args:
          output_hidden_states: also what goes into the first layer and comes out of each.

        Returns:
          `logits`, `last_hidden_state` and so on, as items and attributes; with labels, `loss`.

        Raises:
          DataError: an argument that the model does not read, or a sequence beyond its positions.
        """
        mems, gives_mems = self._mems(arguments)
        features, labels = features_of(arguments, self.config, self.family, self.values)
        rows = len(np.asarray(next(v for v in arguments.values() if v is not None)))
        keep, memory = output_hidden_states or gives_mems, self._memory(mems, features)
        found, kept = _forward(self.params, features, memory, model=self.module, keep=keep)
        loss = loss_of(found, labels, features, self.config, self._problem)
        if loss is not None and self._problem == "probabilities" and self.config.labels == 1:
            found = {name: array.reshape(-1) if name == "sequence" else array for name, array in found.items()}
        result = result_of(
            found, kept if output_hidden_states else None, self.config, self.family, loss, rows, features
        )
        if gives_mems:
            states = hidden_states(kept, self.config, self.config.architecture)
            tokens = features[f"{self.config.architecture}_inputs"].shape[1]
            result["mems"] = mems_after(mems, [x[:, :tokens] for x in states[:-1]], self.config)
        return result

    def loss_and_gradients(self, **arguments: Any) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of a call with labels, and its gradients under the names of the folder's tensors."""
        mems, _ = self._mems(arguments)
        features, labels = features_of(arguments, self.config, self.family, self.values)
        memory = self._memory(mems, features)
        value, gradients = _loss_and_gradients(
            self.params, features, labels, memory, model=self.module, problem=self._problem
        )
        return float(value), folders.named(self.config, gradients, self.family)

    def generate_ids(self, **arguments: Any) -> np.ndarray:
        """The ids that transformers' generate() returns for `input_ids`, `attention_mask` and its options; see
        `t2t.pretrained.generate.generate_ids`."""
        values = self.values if self.generation is None else self.generation
        return generate_ids(self.config, self.params, values, **arguments)

    def states(self, **arguments: Any) -> np.ndarray:
        """The last states [b n d] for arrays under transformers' names: of the encoder, where there is one."""
        if self.config.architecture != "encoder-decoder":
            features, _ = features_of(arguments, self.config, self.family, self.values)
            memory = self._memory(None, features)
            return np.asarray(_forward(self.params, features, memory, model=self.module, keep=False)[0]["states"])
        ids, mask = (arguments.get(name) for name in ("input_ids", "attention_mask"))
        return np.asarray(_encode(self.params, jnp.asarray(ids), mask, model=self.module))

    @functools.cached_property
    def text(self) -> TextModel:
        """The model of text, as runs have it: with the folder's tokenizer, and its way to decode."""
        return text_model(self)

    @functools.cached_property
    def labelled(self) -> LabelModel:
        """The model of labels, as runs have it: with the folder's tokenizer and the labels it names."""
        return label_model(self)

    def generate(self, texts: Sequence[str], **options: Any) -> list[str]:
        """An answer to each text, or how it goes on (by a decoder, and XLNet); for options see `TextModel.generate`."""
        return self.text.generate(texts, **options)

    def generate_all(self, texts: Sequence[str], **options: Any) -> list[list[tuple[str, float]]]:
        """All answers to each text with their scores; see `TextModel.generate_all`."""
        return self.text.generate_all(texts, **options)

    def score(self, inputs: Sequence[str], targets: Sequence[str], **options: Any) -> list[Any]:
        """The log-likelihood of each target after its input; see `TextModel.score`."""
        return self.text.score(inputs, targets, **options)

    def predict(self, inputs: Sequence[str | Mapping[str, Any]], **options: Any) -> list[str]:
        """The answer to each input of a model with a head: a label, a number, tags, a span; see `LabelModel.predict`.

        Raises:
          DataError: the model has no such head.
        """
        return self.labelled.predict(inputs, **options)

    def encode(self, texts: Sequence[str], *, batch_size: int = 32) -> list[np.ndarray]:
        """The last states of the tokens of each text, special tokens among them, float32 [n d] each: of the encoder,
        where there is one."""
        return states_of(self, texts, batch_size)

    def _mems(self, arguments: dict[str, Any]) -> tuple[list[Any] | None, bool]:
        """The mems among arguments, which are taken out, and whether those after the call are wanted."""
        if not (self.family.calls.keeps_memory and remembers(self.config)):
            return None, False
        mems, wanted = arguments.pop("mems", None), arguments.pop("use_mems", None)
        wanted = self.values.get("use_mems_eval", True) if wanted is None else wanted
        return None if mems is None else [jnp.asarray(x) for x in mems], wanted

    def _memory(self, mems: list[Any] | None, features: Features) -> Cache | None:
        if not self.family.calls.keeps_memory:
            return None
        return memory_of(mems, self.config, rows=len(features[f"{self.config.architecture}_inputs"]))


@functools.partial(jax.jit, static_argnames="model")
def _encode(params: Any, tokens: jax.Array, mask: jax.Array | None, *, model: nn.Module) -> jax.Array:
    return model.apply({"params": params}, tokens, mask, method="encode")


@functools.partial(jax.jit, static_argnames=("model", "keep"))
def _forward(params: Any, features: Any, memory: Any, *, model: nn.Module, keep: bool) -> tuple[dict, Any]:
    found, kept = _outputs(model, params, features, memory, ["intermediates"] if keep else [])
    found.pop("memory", None)  # those that transformers gives are what layers were given
    return found, kept.get("intermediates")


@functools.partial(jax.jit, static_argnames=("model", "problem"))
def _loss_and_gradients(
    params: Any, features: Any, labels: Any, memory: Any, *, model: nn.Module, problem: str | None
) -> tuple[jax.Array, Any]:
    def loss(params):
        found, _ = _outputs(model, params, features, memory)
        value = loss_of(found, labels, features, model.config, problem)
        if value is None:
            raise DataError("loss_and_gradients needs labels: give labels=…, or what else the model learns from.")
        return value

    return jax.value_and_grad(loss)(params)


def _outputs(model: nn.Module, params: Any, features: Any, memory: Any, mutable: Any = ()) -> tuple[dict, Any]:
    given = (features,) if memory is None else (features, memory)
    return model.apply({"params": params}, *given, method="outputs", mutable=list(mutable))


def load(folder: str | pathlib.Path, *, report: Callable[[str], None] = print, **options: Any) -> Pretrained:
    """The model of a folder in Hugging Face's format.

    Args:
      report: is told, in words, which parts are new and which were left.
      **options: see `folders.load`.

    Raises:
      CheckpointError, ConfigError: see `folders.load`.
    """
    loaded = folders.load(folder, **options)
    if loaded.new:
        report(f"New, and not yet trained: {', '.join(loaded.new)}.")
    if loaded.left:
        report(f"In {folder}, and not used: {', '.join(loaded.left)}.")
    path = pathlib.Path(folder).expanduser()
    generation = json_of(path / GENERATION) if (path / GENERATION).is_file() else None
    return Pretrained(loaded.config, loaded.params, loaded.family, loaded.values, path, generation)


def save(model: Pretrained, folder: str | pathlib.Path, **options: Any) -> None:
    """Writes a folder that transformers loads, the tokenizer's files among it; see `folders.save` for the options."""
    folders.save(folder, model.config, model.params, family=model.family.name, values=model.values, **options)
    copy_files(model.folder, folder)
    if model.generation is not None:
        place = pathlib.Path(folder).expanduser() / GENERATION
        write_atomically(place, json.dumps(model.generation, indent=2) + "\n")
