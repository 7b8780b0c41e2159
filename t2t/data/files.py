"""The user's own files as sequences of examples: dicts of text by column name. Checked as a whole when they are opened.

| format | one example is | suffixes (each also with .gz) |
|---|---|---|
| tsv | a line of columns between tabs; quotes are literal | .tsv |
| csv | a record, quoted as in RFC 4180 | .csv |
| jsonl | a JSON object on a line | .jsonl, .json, .ndjson |
| text | a line, as column `text` | .txt, any other |
| parallel | line i of each of several files | "a.en,a.de" |
| conll, squad | see `annotated` | .conll; .json where it is asked for |
"""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from t2t.data.annotated import Conll, Squad
from t2t.data.lines import Lines
from t2t.errors import DataError, unknown

FORMATS = ("auto", "tsv", "csv", "jsonl", "text", "parallel", "conll", "squad")
_SUFFIXES = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".conll": "conll"}


def open_file(path: str, columns: Sequence[str], format: str = "auto") -> Sequence[dict[str, Any]]:
    """A file (or several parallel ones, separated by commas) as a sequence of examples with at least `columns`.

    Args:
      path: of the file or files.
      columns: names that each example must have: of the header line (tsv, csv), or column numbers from 0 for a file
        without a header; keys (jsonl); `text` (text). Of parallel files they name the files in order.
      format: one of FORMATS; "auto" goes by the suffix.

    Raises:
      DataError: whatever is wrong with the file, with its line.
    """
    if format not in FORMATS:
        raise DataError(unknown("format", format, FORMATS))
    if format == "parallel" or (format == "auto" and "," in path and not pathlib.Path(path).exists()):
        return Parallel([p.strip() for p in path.split(",")], columns)
    if format == "auto":
        suffixes = [s for s in pathlib.Path(path).suffixes if s != ".gz"]
        format = _SUFFIXES.get(suffixes[-1], "text") if suffixes else "text"
    kinds = {"tsv": Tsv, "csv": Csv, "jsonl": Jsonl, "text": Text, "conll": Conll, "squad": Squad}
    return kinds[format](path, columns)


def _check_columns(path: Any, found: Sequence[str], wanted: Sequence[str], where: str = "") -> None:
    for name in wanted:
        if name not in found:
            raise DataError(
                f"{path}{where}: {unknown('column', name, found)} Name the columns with "
                "--config.data.inputs and --config.data.targets"
                + (" (numbers from 0 for a file without a header line)." if where else ".")
            )


class _Table(Sequence[dict[str, str]]):
    """Rows of cells under a header, or under numbers where the wanted columns are numbers."""

    def _set_up(self, first: Sequence[str], columns: Sequence[str]) -> None:
        self.header = not all(c.isdigit() for c in columns)
        self.names = list(first) if self.header else [str(i) for i in range(len(first))]
        _check_columns(self.path, self.names, columns, ", line 1 (the header)" if self.header else "")


class Tsv(_Table):
    """Tab-separated columns."""

    def __init__(self, path: str, columns: Sequence[str]):
        self.lines = Lines(path)
        self.path = self.lines.path
        self._set_up(self.lines[0].split("\t"), columns)
        if len(self) == 0:
            raise DataError(f"{self.path} holds a header line and no examples: add at least one line.")
        for i in range(len(self)):
            self[i]

    def __len__(self) -> int:
        return len(self.lines) - self.header

    def __getitem__(self, i: int) -> dict[str, str]:
        if not 0 <= i < len(self):
            raise IndexError(i)
        cells = self.lines[i + self.header].split("\t")
        if len(cells) != len(self.names):
            raise DataError(
                f"{self.path}, line {i + 1 + self.header}: expected {len(self.names)} columns "
                f"({', '.join(self.names)}), found {len(cells)}: {self.lines[i + self.header][:80]!r}. "
                "Columns are separated by one tab each."
            )
        return dict(zip(self.names, cells))


class Csv(_Table):
    """Comma-separated records, read into memory because a quoted cell may span lines."""

    def __init__(self, path: str, columns: Sequence[str]):
        lines = Lines(path)
        self.path = lines.path
        reader = csv.reader(io.StringIO("\n".join(lines)), strict=True)
        rows, starts = [], []
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    starts.append(reader.line_num)
        except csv.Error as error:
            raise DataError(
                f"{self.path}, line {reader.line_num}: {error}. A cell with a comma, a quote or a line break "
                'stands between double quotes, and a quote in it is doubled ("").'
            ) from None
        self._set_up(rows[0], columns)
        for row, line in zip(rows, starts):
            if len(row) != len(self.names):
                raise DataError(
                    f"{self.path}, line {line}: expected {len(self.names)} columns ({', '.join(self.names)}), "
                    f"found {len(row)}."
                )
        self.rows = rows[self.header :]
        if not self.rows:
            raise DataError(f"{self.path} holds a header line and no examples: add at least one line.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, str]:
        return dict(zip(self.names, self.rows[i]))


class Jsonl(Sequence[dict[str, Any]]):
    """A JSON object on each line."""

    def __init__(self, path: str, columns: Sequence[str]):
        self.lines, self.columns = Lines(path), list(columns)
        for i in range(len(self)):
            self[i]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, i: int) -> dict[str, Any]:
        line = self.lines[i]
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{self.lines.path}, line {i + 1}: no JSON ({error.msg} at column {error.colno}): "
                f"{line[:80]!r}. Expected one JSON object on each line."
            ) from None
        if not isinstance(value, dict):
            raise DataError(f"{self.lines.path}, line {i + 1}: expected a JSON object, found {line[:80]!r}.")
        _check_columns(f"{self.lines.path}, line {i + 1}", list(value), self.columns)
        for name in self.columns:
            if not isinstance(value[name], str):
                raise DataError(f"{self.lines.path}, line {i + 1}, '{name}': expected text, found {value[name]!r}.")
        return value


class Text(Sequence[dict[str, str]]):
    """A line is an example, in column `text`."""

    def __init__(self, path: str, columns: Sequence[str]):
        self.lines = Lines(path)
        _check_columns(self.lines.path, ["text"], columns)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, i: int) -> dict[str, str]:
        return {"text": self.lines[i]}


class Parallel(Sequence[dict[str, str]]):
    """Line i of each of several files, in columns named in the files' order."""

    def __init__(self, paths: Sequence[str], columns: Sequence[str]):
        if len(paths) != len(columns):
            raise DataError(
                f"Expected {len(columns)} parallel files ({', '.join(columns)}), found {len(paths)}: "
                f"{', '.join(paths)}."
            )
        self.files = {name: Lines(path) for name, path in zip(columns, paths)}
        counts = {str(lines.path): len(lines) for lines in self.files.values()}
        if len(set(counts.values())) > 1:
            raise DataError(
                "Parallel files must have as many lines as each other, found "
                + ", ".join(f"{count:,} in {path}" for path, count in counts.items())
                + "."
            )

    def __len__(self) -> int:
        return len(next(iter(self.files.values())))

    def __getitem__(self, i: int) -> dict[str, str]:
        return {name: lines[i] for name, lines in self.files.items()}
