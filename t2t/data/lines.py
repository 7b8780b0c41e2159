"""A text file as a sequence of lines: random access, plain or gzip, strictly UTF-8, checked as a whole when it is
opened."""

import codecs
import gzip
import pathlib
from collections.abc import Sequence

import numpy as np

from t2t.errors import DataError

_CHUNK = 1 << 24


class Lines(Sequence[str]):
    """The lines of a file without their ends (\\n or \\r\\n). A byte-order mark at the start is left out.

    A plain file is mapped, not read into memory; a gzip one is unpacked into memory.

    Raises:
      DataError: no such file, an empty one, or a byte that is not UTF-8 (naming the line).
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path).expanduser()
        self._open()
        if len(self) == 0:
            raise DataError(f"{self.path} is empty: expected at least one line.")

    def _open(self) -> None:
        if not self.path.is_file():
            near = (
                sorted(p.name for p in self.path.parent.glob("*") if p.suffix == self.path.suffix)[:5]
                if self.path.parent.is_dir()
                else []
            )
            raise DataError(f"There is no file {self.path}." + (f" Beside it are: {', '.join(near)}." if near else ""))
        if self.path.suffix == ".gz":
            try:
                self._bytes = np.frombuffer(gzip.decompress(self.path.read_bytes()), np.uint8)
            except (OSError, EOFError) as error:
                raise DataError(f"{self.path} is no whole gzip file ({error}): fetch it again.") from None
        elif self.path.stat().st_size:
            self._bytes = np.memmap(self.path, np.uint8, "r")
        else:
            self._bytes = np.zeros(0, np.uint8)
        ends = np.flatnonzero(self._bytes == ord("\n"))
        if len(self._bytes) and (len(ends) == 0 or ends[-1] != len(self._bytes) - 1):
            ends = np.append(ends, len(self._bytes))
        self._ends = ends
        self._check_utf8()
        self._bom = 3 if bytes(self._bytes[:3]) == codecs.BOM_UTF8 else 0

    def _check_utf8(self) -> None:
        decoder, read = codecs.getincrementaldecoder("utf-8")("strict"), 0
        while read < len(self._bytes):
            chunk = self._bytes[read : read + _CHUNK].tobytes()
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=read + len(chunk) == len(self._bytes))
            except UnicodeDecodeError as error:
                at = read - pending + error.start
                raise DataError(
                    f"{self.path}, line {int(np.searchsorted(self._ends, at)) + 1}: byte {at} of the file "
                    f"(0x{int(self._bytes[at]):02x}) is not UTF-8. Convert the file, for example: "
                    f"iconv -f latin1 -t utf-8 {self.path.name}"
                ) from None
            read += len(chunk)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> str:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        start = int(self._ends[i - 1]) + 1 if i else self._bom
        return self._bytes[start : int(self._ends[i])].tobytes().decode("utf-8").removesuffix("\r")

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        self.path = state["path"]
        self._open()
