"""The tensors of a folder: one safetensors file, or several with an index; read as they are asked for.

The library judges whether a file is whole and its header true. Tensors are then read by their places in it, for the
library copies each twice, and holds all other threads up meanwhile.
"""

import json
import math
import pathlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from t2t.errors import CheckpointError
from t2t.folders.ahead import Ahead

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # of BERT's first folders
Header = dict[str, tuple[str, tuple[int, ...], int]]  # tensor → its dtype, shape, and first byte in the file


class Stored:
    """A tensor in a file, which is open within a `with`: slices along its first axis are read when they are asked for.

    A slice is an array that the next one may overwrite: memory that is new for each costs more than reading into it.

    Raises:
      CheckpointError: the file has become shorter.
    """

    def __init__(self, path: pathlib.Path, dtype: np.dtype, shape: tuple[int, ...], start: int):
        self.path, self.dtype, self.shape, self.start = path, np.dtype(dtype), shape, start
        self._room = np.empty(0, self.dtype)

    def __enter__(self) -> "Stored":
        self._file = self.path.open("rb", buffering=0)
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0]) if self.shape else (0, 1, 1)
        each = math.prod(self.shape[1:])
        count = (stop - start) * each
        if len(self._room) < count:
            self._room = np.empty(count, self.dtype)
        found = self._room[:count]
        left = memoryview(found.view(np.uint8))
        self._file.seek(self.start + start * each * self.dtype.itemsize)
        while left:
            got = self._file.readinto(left)
            if not got:
                raise CheckpointError(f"{self.path} became shorter while it was read: fetch it again.")
            left = left[got:]
        return found.reshape(stop - start, *self.shape[1:]) if self.shape else found.reshape(())


class Tensors(Mapping[str, Stored]):
    """Tensors by name, each to be read from its file.

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
        self._ahead = Ahead([folder / file for file in sorted(set(self._files.values()))])

    def __getitem__(self, name: str) -> Stored:
        file, stored = self._files[name], self._stored[name]
        kind, shape, start = self._headers[file][stored]
        if kind not in DTYPES:
            raise CheckpointError(
                f"{self.folder / file}: {stored} is of {kind}, expected one of {', '.join(DTYPES)}: convert it, or "
                "take a folder that is not quantised."
            )
        self._ahead.reach(self.folder / file, start)
        return Stored(self.folder / file, DTYPES[kind], shape, start)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, which is not read."""
        return self._headers[self._files[name]][self._stored[name]][1]

    def place(self, name: str) -> tuple[str, int]:
        """The name of the file that a tensor is in, and its first byte there."""
        return self._files[name], self._headers[self._files[name]][self._stored[name]][2]

    def read_ahead(self) -> None:
        """Has the system begin to read, in a thread of its own."""
        first = self.folder / min(self._files.values())
        threading.Thread(target=self._ahead.reach, args=(first, 0)).start()

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
