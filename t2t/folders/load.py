"""A folder as a config and parameters, tensor by tensor, each put where it is to be before the next is read."""

import concurrent.futures
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np
from flax import linen as nn

from t2t.errors import CheckpointError, ConfigError, unknown
from t2t.families import FAMILIES, Family
from t2t.families.heads import Outputs, class_of
from t2t.families.rows import Row
from t2t.folders.places import Place, places
from t2t.folders.tensors import Tensors, json_of
from t2t.models import ModelConfig, abstract_params, by_path, cast_matrices, drawn

Shardings = Callable[[Any], Any]  # of the boxed shapes of parameters → their shardings
LINE, LARGE_PAGE = 64, 2 << 20  # bytes
READERS = min(max(os.cpu_count() or 1, 2), 8)  # tensors that are read, turned and put at once


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a folder holds.

    Attributes:
      config: of the model.
      params: unboxed; float32, or what was asked for.
      family: whose names it has.
      values: of its config.json.
      new: parameters that the folder has not, because other outputs were asked for; they are drawn at random.
      left: tensors of the folder's outputs that were not asked for.
    """

    config: ModelConfig
    params: Any
    family: Family
    values: dict[str, Any]
    new: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def load(
    folder: str | pathlib.Path,
    *,
    shardings: Shardings | None = None,
    seed: int = 0,
    param_dtype: Literal["float32", "bfloat16"] = "float32",
    **changes: Any,
) -> Loaded:
    """Reads a folder in Hugging Face's format.

    Args:
      shardings: where parameters are put; on the first device if not given.
      seed: of what is new.
      param_dtype: of kernels and token tables. With "bfloat16" a model of dtype="bfloat16" computes the same, sooner
        and in half the memory, for it need not cast them; to train on, take float32.
      **changes: of the config, in fields that change no parameter but how layers are stacked (`stacking="scanned"`,
        `remat`, `dtype`, dropout), and `outputs` and `labels`: `outputs=("sequence",), labels=3` is the way to
        fine-tune a pre-trained trunk. Heads that the folder has not are new; logits over the vocabulary cannot be.

    Raises:
      CheckpointError: no folder in this format, an unsupported family, tensors that are missing, unexpected or of other
        shapes than config.json says, or files that are not whole.
      ConfigError: a config.json that asks for what is not here.
    """
    if param_dtype not in ("float32", "bfloat16"):
        raise ConfigError(f"param_dtype: expected float32 or bfloat16, found {param_dtype!r}.")
    folder = pathlib.Path(folder).expanduser()
    own, config, family, values, tensors = _read(folder, changes)
    tensors.read_ahead()  # beside the tracing of shapes
    asked = own.outputs != config.outputs or own.labels != config.labels
    boxed = abstract_params(config)
    shapes = nn.meta.unbox(boxed)
    where = places(family.rows(config), config, shapes)
    names = _names(where, family, tensors)
    new = [path for path, place in where.items() if asked and _is_new(path, place, own, names, tensors)]
    where = {path: place for path, place in where.items() if path not in new}
    may_be_left = {row.theirs for row in family.rows(own)} if asked else set()
    left = _check(where, names, family, tensors, folder, may_be_left)
    placed = shardings(boxed) if shardings else jax.tree.map(lambda _: jax.devices()[0], shapes)
    dtypes = {p: x.dtype for p, x in by_path(jax.eval_shape(lambda p: cast_matrices(p, param_dtype), shapes)).items()}
    params = jax.tree.map(lambda _: None, shapes)

    def put(path: str, array: Any) -> None:
        *parents, leaf = path.split("/")
        node, of = params, placed
        for parent in parents:
            node, of = node[parent], of[parent]
        found = jax.device_put(array, of[leaf])
        node[leaf] = found if found.dtype == dtypes[path] else found.astype(dtypes[path])

    def read(path: str) -> None:
        array = _aligned(where[path].shape)
        for index, row in where[path].rows:
            with tensors[names[row.theirs]] as tensor:
                row.layout.read(tensor, array[(*index, ...)])
        put(path, array)

    def place(path: str) -> tuple[str, int]:
        return tensors.place(names[where[path].rows[0][1].theirs])

    # In the order of the files, so that few are in memory, and the disk reads on.
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(read, sorted(where, key=place)):
            pass
    for path, array in drawn(config, new, seed).items():
        put(path, array)
    return Loaded(config, params, family, values, tuple(new), left)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Room for float32 that begins where a device that is the host takes it as it is, rather than copies it.

    What is larger than a large page begins with one, so that the system gives out memory by those, and not by pages of
    a few KB, which takes it longer than filling them.
    """
    size = 4 * math.prod(shape)
    alignment = LARGE_PAGE if size > LARGE_PAGE else LINE
    room = np.empty(size + alignment, np.uint8)
    start = -room.ctypes.data % alignment
    return room[start : start + size].view(np.float32).reshape(shape)


def config_of(folder: str | pathlib.Path, **changes: Any) -> ModelConfig:
    """The config of a folder's model, with the changes that `load` takes; no tensor is read."""
    return _read(pathlib.Path(folder).expanduser(), changes)[1]


def family_of(folder: str | pathlib.Path) -> Family:
    """The family of a folder's model."""
    folder = pathlib.Path(folder).expanduser()
    return _family_of(values_of(folder), folder)


def is_folder(path: str | pathlib.Path) -> bool:
    """Whether a path is a folder in Hugging Face's format, whatever its family, rather than a run's."""
    config = pathlib.Path(path).expanduser() / "config.json"
    return config.is_file() and "train" not in json_of(config)


def _read(
    folder: pathlib.Path, changes: Mapping[str, Any]
) -> tuple[ModelConfig, ModelConfig, Family, dict[str, Any], Tensors]:
    """The folder's own config and the changed one, its family, the values of config.json that say the latter, and its
    tensors."""
    values = values_of(folder)
    family, tensors = _family_of(values, folder), Tensors(folder)
    family = family.named_by(family, values, tensors.keys())
    own = config = family.read(values, set(tensors))
    wanted = {name: changes.get(name, getattr(own, name)) for name in ("outputs", "labels")}
    if wanted != {"outputs": own.outputs, "labels": own.labels}:
        _check_outputs(wanted["outputs"], own, folder)
        values = {**values, **asked_of(family, **wanted)}
        config = family.read(values, set(tensors))
    rest = {name: value for name, value in changes.items() if name not in wanted}
    return own, dataclasses.replace(config, **rest), family, values, tensors


def _check_outputs(outputs: Outputs, own: ModelConfig, folder: pathlib.Path) -> None:
    if "vocabulary" in outputs and "vocabulary" not in own.outputs:
        raise ConfigError(
            f"outputs {outputs}: {folder} has no logits over the vocabulary, its outputs are {own.outputs}: set "
            "outputs to those, or to a head that may be new, such as ('sequence',)."
        )


def asked_of(family: Family, outputs: Outputs, labels: int) -> dict[str, Any]:
    """What config.json says of other outputs than the folder's."""
    said = {"architectures": [class_of(outputs, family.classes)]}
    return {**said, "id2label": {str(i): f"LABEL_{i}" for i in range(labels)}}


def _is_new(path: str, place: Place, own: ModelConfig, names: dict[str, str], tensors: Tensors) -> bool:
    """Whether a folder has not a parameter of the heads: by its output, for other outputs have the same names there."""
    room, *rest = path.split("/")
    if room != "heads":
        return False
    if rest[0] != "pooler" and rest[0].split("_")[0] not in own.outputs:
        return True
    tensor, (_, row) = names[place.rows[0][1].theirs], place.rows[0]
    return tensor not in tensors or tensors.shape(tensor) != row.layout.shape(place.shape)


def values_of(folder: pathlib.Path) -> dict[str, Any]:
    """The values of a folder's config.json.

    Raises:
      CheckpointError: there is none.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"There is no config.json in {folder}: expected a folder in Hugging Face's format.")
    return json_of(folder / "config.json")


def _family_of(values: dict[str, Any], folder: pathlib.Path) -> Family:
    """The family that a config.json names.

    Raises:
      CheckpointError: none, or one that is not here.
    """
    name = values.get("model_type")
    if name is None:
        raise CheckpointError(f"{folder / 'config.json'} has no model_type: expected one of {', '.join(FAMILIES)}.")
    if name not in FAMILIES:
        raise CheckpointError(f"{folder / 'config.json'}: {unknown('model_type', name, FAMILIES)}")
    return FAMILIES[name]


def _names(where: dict[str, Place], family: Family, tensors: Tensors) -> dict[str, str]:
    """The name in the folder of every tensor: without the family's prefix where no tensor there has it."""
    wanted = {row.theirs for place in where.values() for _, row in place.rows}
    bare = family.prefix and not any(name.startswith(family.prefix) for name in tensors)
    return {name: name.removeprefix(family.prefix) if bare else name for name in wanted}


def _check(
    where: dict[str, Place],
    names: dict[str, str],
    family: Family,
    tensors: Tensors,
    folder: pathlib.Path,
    may_be_left: set[str],
) -> tuple[str, ...]:
    """Raises CheckpointError with everything at once in which the tensors are not those of the config.

    Returns:
      Those of `may_be_left` that no parameter has.
    """
    wanted: dict[str, tuple[Row, tuple[int, ...]]] = {}
    for place in where.values():
        for index, row in place.rows:
            wanted[names[row.theirs]] = row, place.shape[1:] if index else place.shape
    missing = sorted(set(wanted) - set(tensors))
    over = sorted(n for n in tensors if n not in wanted and not family.says_nothing(n))
    if not any(n.startswith(family.prefix) for n in tensors):  # a trunk alone
        over = [n for n in over if not family.says_nothing(family.prefix + n)]
    unexpected = [n for n in over if n not in may_be_left]
    wrong = []
    for name in sorted(set(wanted) & set(tensors)):
        row, ours = wanted[name]
        expected, found = row.layout.shape(ours), tensors.shape(name)
        if expected != found:
            wrong.append(f"{name}: expected {list(expected)}, found {list(found)}")
    told = [
        f"{len(items)} {kind}: {', '.join(items[:20])}{', …' if len(items) > 20 else ''}"
        for kind, items in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
        if items
    ]
    if told:
        raise CheckpointError(
            f"The tensors in {folder} are not those that its config.json describes. " + "; ".join(told) + "."
        )
    return tuple(n for n in over if n in may_be_left)
