"""Digests of the files of a checkpoint, because the array store keeps none: a single flipped bit is found."""

import hashlib
import json
import os
import pathlib

FILE = "digests.json"


def digest(path: pathlib.Path) -> str:
    """The BLAKE2b digest of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write(folder: pathlib.Path) -> None:
    """Writes the digests of every file under a folder. They appear at once, so a folder that has them is whole."""
    found = {str(p.relative_to(folder)): digest(p) for p in _files(folder)}
    write_atomically(folder / FILE, json.dumps({"algorithm": "blake2b-128", "files": found}, indent=1))


def verify(folder: pathlib.Path) -> list[str]:
    """What is wrong with a folder, a line each; nothing where every file is as it was written."""
    try:
        expected = json.loads((folder / FILE).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return ["the save did not finish"]
    except (ValueError, KeyError, TypeError):
        return [f"{FILE} is damaged"]
    problems = [f"{name} is missing" for name in expected if not (folder / name).is_file()]
    problems += [
        f"{name} is damaged"
        for name, value in expected.items()
        if (folder / name).is_file() and digest(folder / name) != value
    ]
    return problems + [
        f"{name} was not there when it was saved"
        for name in sorted({str(p.relative_to(folder)) for p in _files(folder)} - set(expected))
    ]


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a file so that it is there whole or, whatever happens, as it was before."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (FILE, FILE + ".tmp"))
