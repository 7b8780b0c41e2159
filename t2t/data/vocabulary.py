"""Vocabularies: text into token ids and back, and what a model reads of a text.

    vocabulary = from_folder("path/to/folder")       # whatever a folder in Hugging Face's format carries
    vocabulary.encode("a text")                      # ids alone, as tasks want them
    vocabulary.decode(ids)
    found = vocabulary.encode_for_model("a question", "its context")
    found.ids, found.types, found.offsets, found.texts   # with the family's special tokens; see EncodedText
    window = vocabulary.tokens(text)[100:200]            # Tokens: ids and offsets, without special tokens
    vocabulary.join(question, window)                    # and with them again; `frame.added(pair=True)` says how many

A config names one in `data.vocabulary`; see `from_name`.
"""

import json
import pathlib
import re

from t2t.data.vocabularies.bytes import ByteVocabulary
from t2t.data.vocabularies.characters import Byt5Vocabulary, CanineVocabulary
from t2t.data.vocabularies.folder import FolderVocabulary, TokenizerVocabulary
from t2t.data.vocabularies.framing import EncodedText, Frame, Tokens
from t2t.data.vocabularies.marian import MarianVocabulary
from t2t.data.vocabularies.pieces import TRAINED, SentencePieceVocabulary, train_sentencepiece
from t2t.data.vocabularies.source import FILES, Source
from t2t.data.vocabularies.vocabulary import PAD, Vocabulary
from t2t.errors import DataError

__all__ = [
    "PAD",
    "TRAINED",
    "ByteVocabulary",
    "EncodedText",
    "FolderVocabulary",
    "Frame",
    "SentencePieceVocabulary",
    "Tokens",
    "Vocabulary",
    "copy_files",
    "from_folder",
    "from_name",
    "load",
    "train_sentencepiece",
    "trained_size",
]

BYTES = {"bytes": "utf-8", "pixels": "latin-1"}  # the names of byte vocabularies, and how text becomes bytes
OWN = {  # the classes of tokenizer that are not made of the `tokenizers` library
    "ByT5Tokenizer": Byt5Vocabulary,
    "CanineTokenizer": CanineVocabulary,
    "MarianTokenizer": MarianVocabulary,
}


def from_folder(folder: str | pathlib.Path, *, rows: int | None = None) -> FolderVocabulary:
    """The vocabulary of a folder in Hugging Face's format: of its tokenizer.json; or of vocab.txt, vocab.json and
    merges.txt, a SentencePiece model, or what else its family has; with tokenizer_config.json, special_tokens_map.json
    and added_tokens.json. Whose the files are is read from tokenizer_config.json, or config.json.

    Ids are those that `transformers` 5 gives. Where a tokenizer.json is there it holds, as it stands.

    Args:
      rows: of the model's table of tokens, where it is known.

    Raises:
      DataError: no such folder, no tokenizer files, files that are damaged or do not fit each other, a class of
        tokenizer that is not here, or more ids than rows.
    """
    source = Source.of(pathlib.Path(folder).expanduser())
    vocabulary = OWN.get(source.kind, TokenizerVocabulary)(source)
    if rows is not None and vocabulary.size > rows:
        raise DataError(
            f"The tokenizer in {folder} has {vocabulary.size:,} ids, and the model's table {rows:,} rows: one of "
            "them is another model's. Restore the tokenizer's files, or those of the model."
        )
    return vocabulary


def copy_files(folder: str | pathlib.Path, to: str | pathlib.Path) -> None:
    """Puts a folder's tokenizer files, as they are, into another: beside a model that transformers is to load."""
    for name in FILES:
        file = pathlib.Path(folder).expanduser() / name
        if file.is_file():
            (pathlib.Path(to).expanduser() / name).write_bytes(file.read_bytes())


def load(folder: str | pathlib.Path) -> Vocabulary:
    """The vocabulary that `save` wrote into a folder.

    Raises:
      DataError: nothing there, or files that are not those that were saved.
    """
    folder = pathlib.Path(folder)
    path = folder / "vocabulary.json"
    if not path.is_file():
        raise DataError(f"There is no vocabulary in {folder}: expected {path.name} there.")
    spec = json.loads(path.read_text(encoding="utf-8"))
    if spec["name"] in BYTES:
        return ByteVocabulary(spec["extra_ids"], BYTES[spec["name"]])
    if spec["name"] == "folder":
        source = Source.of(folder, spec["kind"])
        changed = sorted(dict(source.sums.items() ^ spec["files"].items()))
        if changed:
            raise DataError(_changed(folder / changed[0], path))
        return OWN.get(source.kind, TokenizerVocabulary)(source)
    vocabulary = SentencePieceVocabulary(folder / spec["file"], spec["extra_ids"])
    if vocabulary.spec()["sha256"] != spec["sha256"]:
        raise DataError(_changed(folder / spec["file"], path))
    return vocabulary


def _changed(file: pathlib.Path, saved: pathlib.Path) -> str:
    kind = "model" if file.suffix == ".model" else "file"
    return f"{file} is not the {kind} that {saved.name} was saved with: restore the file."


def from_name(name: str) -> Vocabulary | None:
    """The vocabulary a config names: "bytes", "pixels", "folder:" and the path of a folder in Hugging Face's format, or
    the path of a .model file or of a folder where `save` wrote one; None for one to be trained ("sentencepiece:8000",
    see `trained_size`).

    Raises:
      DataError: none of these.
    """
    if name in BYTES:
        return ByteVocabulary(encoding=BYTES[name])
    if trained_size(name):
        return None
    if name.startswith("folder:"):
        return from_folder(name.removeprefix("folder:"))
    path = pathlib.Path(name).expanduser()
    if path.is_dir():
        return load(path)
    if path.is_file() or path.suffix == ".model":
        return SentencePieceVocabulary(path)
    raise DataError(
        f"Unknown vocabulary '{name}'. Expected 'bytes', 'pixels', 'sentencepiece:8000' (train one of 8,000 pieces on "
        "the training texts; also 'bpe:…', 'words:…'), the path of a SentencePiece .model, a folder with a saved "
        "vocabulary, or 'folder:' and a folder in Hugging Face's format."
    )


def trained_size(name: str) -> int | None:
    """How many pieces "sentencepiece:8000" (or "bpe:8000", "words:8000") asks to train; None for any other name."""
    match = re.fullmatch(rf"({'|'.join(TRAINED)}):(\d+)", name)
    return int(match[2]) if match else None
