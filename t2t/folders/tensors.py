"""The tensors of a folder: one safetensors file, or several with an index; read one at a time.

The library judges whether a file is whole and its header true. Tensors are then read by their places in it, for the
library copies each twice, and holds all other threads up meanwhile.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from t2t.errors import CheckpointError

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
AHEAD = 2  # files
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # of BERT's first folders
Header = dict[str, tuple[str, tuple[int, ...], int]]  # tensor → its dtype, shape, and first byte in the file


class Tensors(Mapping[str, np.ndarray]):
    """Tensors by name, each read from its file when it is asked for.

    Raises:
      CheckpointError: no file of tensors, one that is cut or whose header lies, an index that names files outside the
        folder or tensors that are not where it says.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._headers: dict[str, Header] = {}
        if (folder / INDEX).is_file():
            self._files = self._indexed(json_of(folder / INDEX))
        elif (folder / FILE).is_file():
            self._files = dict.fromkeys(self._open(FILE), FILE)
        else:
            raise CheckpointError(_nothing(folder))
        self._stored = {_renamed(name): name for name in self._files}
        self._files = {_renamed(name): file for name, file in self._files.items()}
        self._order, self._asked = sorted(set(self._files.values())), set()

    def __getitem__(self, name: str) -> np.ndarray:
        file, stored = self._files[name], self._stored[name]
        self._will_need(self._order[self._order.index(file) :][: AHEAD + 1])
        kind, shape, start = self._headers[file][stored]
        if kind not in DTYPES:
            raise CheckpointError(
                f"{self.folder / file}: {stored} is of {kind}, expected one of {', '.join(DTYPES)}: convert it, or "
                "take a folder that is not quantised."
            )
        count = math.prod(shape)
        found = np.fromfile(self.folder / file, DTYPES[kind], count, offset=start)
        if len(found) < count:
            raise CheckpointError(f"{self.folder / file} became shorter while it was read: fetch it again.")
        return found.reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, which is not read."""
        return self._headers[self._files[name]][self._stored[name]][1]

    def file(self, name: str) -> str:
        """The name of the file that a tensor is in."""
        return self._files[name]

    def read_ahead(self) -> None:
        """Asks the system, where it can be asked, for the first files, while other work goes on."""
        self._will_need(self._order[:AHEAD])

    def _will_need(self, files: list[str]) -> None:
        """Asks for files, once for each."""
        for file in set(files) - self._asked if hasattr(os, "posix_fadvise") else ():
            self._asked.add(file)
            with open(self.folder / file, "rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)

    def _open(self, file: str) -> Header:
        """Reads the header of a file."""
        import safetensors

        path = self.folder / file
        if not path.is_file():
            raise CheckpointError(f"{self.folder / INDEX} names {file}, which is not there: fetch the whole folder.")
        try:
            with safetensors.safe_open(str(path), framework="numpy"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is no whole safetensors file ({error}): fetch it again.") from None
        with path.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            said = json.loads(opened.read(size))
        said.pop("__metadata__", None)
        self._headers[file] = {
            name: (of["dtype"], tuple(of["shape"]), 8 + size + of["data_offsets"][0]) for name, of in said.items()
        }
        return self._headers[file]

    def _indexed(self, index: Mapping[str, Any]) -> dict[str, str]:
        path, files = self.folder / INDEX, index.get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(f, str) for f in files.values()):
            raise CheckpointError(f"{path}: expected a 'weight_map' from tensors to files, found {files!r:.60}.")
        for file in set(files.values()):
            if pathlib.PurePath(file).name != file:
                raise CheckpointError(f"{path} names the file '{file}', which is not in the folder: it is not opened.")
        inside = {file: set(self._open(file)) for file in sorted(set(files.values()))}
        lost = sorted(name for name, file in files.items() if name not in inside[file])
        if lost:
            raise CheckpointError(f"{path} names tensors that are not in their files: {', '.join(lost[:10])}.")
        return files


def json_of(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object of a folder.

    Raises:
      CheckpointError: no JSON, or something other than an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is no JSON ({error}): fetch it again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected an object, found {type(found).__name__}.")
    return found


def _renamed(name: str) -> str:
    """The name that a tensor has today."""
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _nothing(folder: pathlib.Path) -> str:
    pickles = sorted(p.name for p in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.pt"))
    if not pickles:
        return f"There is no {FILE} in {folder}: expected a folder in Hugging Face's format."
    return (
        f"{folder} has its tensors in {pickles[0]} alone, a pickle, which can run any code when it is opened: it is "
        'not. Where that is safe, turn it into safetensors: python -c "import torch, safetensors.torch as s; '
        f"d = torch.load('{pickles[0]}', weights_only=True); s.save_file({{k: d[k].clone() for k in d}}, '{FILE}')\""
    )
