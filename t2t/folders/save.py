"""A config and parameters as a folder that transformers loads."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import ml_dtypes
import numpy as np
from flax import linen as nn

from t2t.checkpoints.digests import write_atomically
from t2t.config import difference
from t2t.errors import ConfigError, unknown
from t2t.families import FAMILIES, Family
from t2t.families.heads import named_labels
from t2t.families.rows import Layout
from t2t.folders.places import Index, places
from t2t.folders.tensors import FILE, INDEX
from t2t.models import ModelConfig, abstract_params, by_path

SHARD_BYTES = 5 * 10**9  # of a file, as transformers writes them
OURS_ALONE = {  # fields of `ModelConfig`: what says how a model is trained or laid out, and not what it computes
    "dropout", "attention_dropout", "mlp_dropout", "dropout_over_length", "final_dropout", "init", "init_std",
    "residual_init_scale", "stacking", "remat", "dtype", "max_length",
}  # fmt: skip


def save(
    folder: str | pathlib.Path,
    config: ModelConfig,
    params: Any,
    *,
    family: str,
    values: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes a folder in Hugging Face's format.

    Args:
      params: of the config, stacked as it says.
      family: whose names the tensors get, a `model_type`.
      values: more of config.json, for instance what the folder had that the model was loaded from; what the config says
        goes before.
      dtype: of the tensors.
      shard_bytes: the most that a file holds, unless one tensor alone is larger.

    Raises:
      ConfigError: an unknown family, or a model that the family's config.json cannot describe.
    """
    from safetensors.numpy import save_file

    if family not in FAMILIES:
        raise ConfigError(unknown("family", family, FAMILIES))
    kin, folder = FAMILIES[family], pathlib.Path(folder).expanduser()
    kin = kin.named_by(kin, values or {}, ())
    described = {"model_type": family, **kin.write(config), "dtype": dtype, **named_labels(config, values or {})}
    _check_described(config, kin.read(described, {row.theirs for row in kin.rows(config)}), family)
    pieces = _pieces(kin, config, params)
    kind = np.dtype(np.float32 if dtype == "float32" else ml_dtypes.bfloat16)
    constants = kin.constants(config)  # float32 always: rounded sinusoids are others
    sizes = {name: math.prod(_shape(parts)) * kind.itemsize for name, parts in pieces.items()}
    sizes |= {name: table.nbytes for name, table in constants.items()}
    files = _files(sizes, shard_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    for file, names in files.items():
        tensors = {n: constants[n] if n in constants else _tensor(pieces[n], kind) for n in names}
        save_file(tensors, str(folder / file), {"format": "pt"})
    (folder / INDEX).unlink(missing_ok=True)
    if len(files) > 1:
        index = {
            "metadata": {"total_size": sum(sizes.values())},
            "weight_map": {name: file for file, names in files.items() for name in names},
        }
        write_atomically(folder / INDEX, json.dumps(index, indent=2) + "\n")
    write_atomically(folder / "config.json", json.dumps({**(values or {}), **described}, indent=2) + "\n")


def token_ids(vocabulary: Any, family: str) -> dict[str, int]:
    """What config.json says of a vocabulary (`pad_id`, `eos_id`), for whoever generates or pads.

    Where positions count the ids that are no padding, the id of padding is the model's and not the vocabulary's.
    """
    kin = FAMILIES.get(family)
    ids = {"eos_token_id": vocabulary.eos_id}
    if kin is None or not kin.calls.positions_from_ids:
        ids["pad_token_id"] = vocabulary.pad_id
    return {name: i for name, i in ids.items() if i is not None}


def named(config: ModelConfig, params: Any, family: Family) -> dict[str, np.ndarray]:
    """Parameters, or anything of their shapes such as gradients, as a family's folders name and lay them out;
    float32."""
    return {name: _tensor(pieces, np.dtype(np.float32)) for name, pieces in _pieces(family, config, params).items()}


Piece = tuple[Layout, Any, Index]  # a parameter, or its layers, and which of these


def _pieces(family: Family, config: ModelConfig, params: Any) -> dict[str, list[Piece]]:
    """What makes each tensor, by its name."""
    leaves, found = by_path(params), {}
    for path, place in places(family.rows(config), config, nn.meta.unbox(abstract_params(config))).items():
        for index, row in place.rows:
            found.setdefault(row.theirs, []).append((row.layout, leaves[path], index))
    return found


def _shape(pieces: list[Piece]) -> tuple[int, ...]:
    layout, leaf, index = pieces[0]
    return layout.shape(leaf.shape[len(index) :])


def _tensor(pieces: list[Piece], kind: np.dtype) -> np.ndarray:
    tensor = np.zeros(_shape(pieces), kind)
    for layout, leaf, index in pieces:
        layout.write(np.asarray(leaf[index]), tensor)
    return tensor


def _files(sizes: Mapping[str, int], most: int) -> dict[str, list[str]]:
    """The tensors of each file, filled one after the other."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    if len(shards) == 1:
        return {FILE: shards[0]}
    return {f"model-{i:05}-of-{len(shards):05}.safetensors": names for i, names in enumerate(shards, start=1)}


def _check_described(config: ModelConfig, described: ModelConfig, family: str) -> None:
    """Raises ConfigError where a model computes something that config.json would not say."""
    if not {"sequence", "tagging"} & set(config.outputs):  # nothing has labels
        described = dataclasses.replace(described, labels=config.labels)
    differing = difference(config, described).items()
    own = {field: field.removeprefix("encoder.").split(".")[0] for field, _ in differing}
    lost = {field: both for field, both in differing if own[field] not in OURS_ALONE}
    if lost:
        told = "; ".join(f"{field} {ours!r}, it would be {theirs!r}" for field, (theirs, ours) in lost.items())
        raise ConfigError(f"The config.json of a '{family}' does not describe this model: {told}.")
