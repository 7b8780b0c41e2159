"""Files that the system reads from the disk while other work goes on, before they are asked for."""

import os
import pathlib
import threading
from collections.abc import Sequence

WINDOW = 256 << 20  # bytes that are asked for before they are read
CHUNK = 512 << 10  # bytes: of one request, the system reads no more ahead than a device takes at once


class Ahead:
    """Asks the system, where it can be asked, for files that are read one after the other."""

    def __init__(self, files: Sequence[pathlib.Path]):
        self._lock = threading.Lock()
        self._asked = 0  # bytes, of all files
        self._spans: dict[pathlib.Path, tuple[int, int]] = {}  # of all bytes
        end = 0
        for file in files:
            begin, end = end, end + file.stat().st_size
            self._spans[file] = begin, end

    def reach(self, file: pathlib.Path, place: int) -> None:
        """Asks for what follows a place, which may be in the files after this one, once for each byte."""
        if not hasattr(os, "posix_fadvise"):
            return
        until = self._spans[file][0] + place + WINDOW
        with self._lock:
            for file, (begin, end) in self._spans.items():
                if begin < until and self._asked < end:
                    self._ask(file, begin, min(until, end))

    def _ask(self, file: pathlib.Path, begin: int, until: int) -> None:
        with file.open("rb") as opened:
            while self._asked < until:
                os.posix_fadvise(opened.fileno(), self._asked - begin, CHUNK, os.POSIX_FADV_WILLNEED)
                self._asked += CHUNK
        self._asked = until
