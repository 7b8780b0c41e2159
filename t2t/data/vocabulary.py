"""Text into token ids and back. Pad is 0 in every vocabulary here; end of sequence is T5's 1 unless a model says
otherwise."""

import hashlib
import json
import pathlib
import re
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from t2t.errors import DataError

PAD = 0
TRAINED = {"sentencepiece": "unigram", "bpe": "bpe", "words": "word"}  # names of those to train, and their model types
LINE_END = "\N{SYMBOL FOR NEWLINE}"  # the word that stands for one
BYTES = {"bytes": "utf-8", "pixels": "latin-1"}  # the names of byte vocabularies, and how text becomes bytes


class Vocabulary:
    """The interface of all vocabularies.

    Attributes:
      size: how many ids there are, sentinels included.
      eos_id, unk_id: the ids of the end of a sequence and of what is unknown.
      sentinels: how many sentinel ids span corruption may use.
    """

    size: int
    eos_id: int = 1
    unk_id: int = 2
    sentinels: int

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without an end of sequence."""
        raise TypeError(f"{type(self).__name__} does not encode")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end of sequence; padding is left out."""
        kept = []
        for i in ids:
            if i == self.eos_id:
                break
            if i != PAD:
                kept.append(int(i))
        return self._decode(kept)

    def _decode(self, ids: Sequence[int]) -> str:
        raise TypeError(f"{type(self).__name__} does not decode")

    def sentinel(self, i: int) -> int:
        """The id of the i-th sentinel of span corruption: they descend (Raffel et al. 2020, section 3.1.4).

        Raises:
          DataError: there are not so many.
        """
        if not 0 <= i < self.sentinels:
            raise DataError(
                f"Span corruption needs sentinel {i}, and the vocabulary has {self.sentinels}: use shorter inputs, "
                "longer spans (mean_span), or a vocabulary with more extra_ids."
            )
        return self._last_sentinel_first() - i

    def _last_sentinel_first(self) -> int:
        return self.size - 1

    def spec(self) -> dict[str, Any]:
        """What `load` needs to make it again, beside the files of `save`."""
        raise TypeError(f"{type(self).__name__} has no spec")

    def fingerprint(self) -> str:
        """A hash that is equal exactly where all ids mean the same."""
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()[:16]

    def save(self, folder: pathlib.Path) -> None:
        """Writes `vocabulary.json`, and what it names, into a folder."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocabulary.json").write_text(json.dumps(self.spec(), indent=2) + "\n", encoding="utf-8")


class ByteVocabulary(Vocabulary):
    """UTF-8 bytes in ByT5's layout (Xue et al. 2022, section 3.1): pad 0, end 1, unknown 2, byte b is b + 3.

    As in ByT5, the sentinels are the last byte ids, descending from 258, and 125 more ids fill the table up to 384.

    Args:
      encoding: "latin-1" for text that stands for numbers from 0 to 255, a character each, such as pixels.
    """

    def __init__(self, extra_ids: int = 125, encoding: Literal["utf-8", "latin-1"] = "utf-8"):
        self.extra_ids, self.encoding = extra_ids, encoding
        self.size = 3 + 256 + extra_ids
        self.sentinels = 100

    def _last_sentinel_first(self) -> int:
        return 258

    def encode(self, text: str) -> list[int]:
        try:
            return [byte + 3 for byte in text.encode(self.encoding)]
        except UnicodeEncodeError as error:
            if self.encoding == "latin-1":
                raise DataError(
                    f"The vocabulary 'pixels' has characters 0 to 255, found {text[error.start]!r} at character "
                    f"{error.start}: use 'bytes' for text."
                ) from None
            raise DataError(
                f"The text holds an unpaired surrogate at character {error.start}, which UTF-8 cannot encode: "
                "mend or remove it."
            ) from None

    def _decode(self, ids: Sequence[int]) -> str:
        return bytes(i - 3 for i in ids if 3 <= i < 259).decode(self.encoding, errors="replace")

    def spec(self) -> dict[str, Any]:
        return {"name": "bytes" if self.encoding == "utf-8" else "pixels", "extra_ids": self.extra_ids}


class SentencePieceVocabulary(Vocabulary):
    """A SentencePiece model, with T5's sentinels after its pieces: <extra_id_0> is the last id, and they descend.

    Args:
      model: the serialised model, or the path of a .model file.
      extra_ids: how many sentinels.

    Raises:
      DataError: no such file, no such model, or one whose pad is not 0 or that has no end of sequence.
    """

    def __init__(self, model: bytes | str | pathlib.Path, extra_ids: int = 100):
        if not isinstance(model, bytes):
            path = pathlib.Path(model)
            if not path.is_file():
                raise DataError(f"There is no SentencePiece model at {path}: expected a file ending in .model.")
            model = path.read_bytes()
        self.model, self.extra_ids = model, extra_ids
        self._start()

    def _start(self) -> None:
        import sentencepiece

        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self.model)
        except RuntimeError:
            raise DataError(f"This is no SentencePiece model: {self.model[:40]!r}…") from None
        processor = self._processor
        if processor.pad_id() not in (PAD, -1) or processor.eos_id() < 0:
            raise DataError(
                "Expected a SentencePiece model with pad 0 and an end of sequence, found pad "
                f"{processor.pad_id()} and end {processor.eos_id()}: train it with pad_id=0, eos_id=1, unk_id=2."
            )
        self.eos_id, self.unk_id = processor.eos_id(), processor.unk_id()
        self.pieces = processor.get_piece_size()
        self.sentinels, self.size = self.extra_ids, self.pieces + self.extra_ids

    def __getstate__(self):
        return {"model": self.model, "extra_ids": self.extra_ids}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def encode(self, text: str) -> list[int]:
        try:
            return self._processor.encode(text)
        except (UnicodeEncodeError, ValueError):
            raise DataError(f"The text {text[:40]!r} holds an unpaired surrogate, which UTF-8 cannot encode.") from None

    def _decode(self, ids: Sequence[int]) -> str:
        parts, run = [], []
        for i in ids:
            if i < self.pieces:
                run.append(i)
            else:
                parts += [self._processor.decode(run), f"<extra_id_{self.size - 1 - i}>" if i < self.size else "⁇"]
                run = []
        return " ".join(p for p in [*parts, self._processor.decode(run)] if p) if parts else self._processor.decode(run)

    def spec(self) -> dict[str, Any]:
        return {
            "name": "sentencepiece",
            "file": "sentencepiece.model",
            "extra_ids": self.extra_ids,
            "sha256": hashlib.sha256(self.model).hexdigest(),
        }

    def save(self, folder: pathlib.Path) -> None:
        super().save(folder)
        (pathlib.Path(folder) / "sentencepiece.model").write_bytes(self.model)


def train_sentencepiece(
    texts: Iterable[str],
    size: int,
    *,
    model_type: str = "unigram",
    extra_ids: int = 100,
    character_coverage: float = 1.0,
) -> SentencePieceVocabulary:
    """Trains a SentencePiece model of `size` pieces (or fewer, where the texts do not yield so many) on texts.

    Text is not normalised and unknown characters fall back to bytes, so that decoding gives back what was encoded. Only
    words are another matter: what is between spaces is a word, however many spaces; a line's end is a word; and unknown
    ones are `unk_id`, a row of them one.

    Args:
      model_type: "unigram" (Kudo 2018), "bpe" (Sennrich et al. 2016) or "word".

    Raises:
      DataError: texts too few or too uniform for a vocabulary.
    """
    import io

    import sentencepiece

    out, words = io.BytesIO(), model_type == "word"
    try:
        with tempfile.TemporaryDirectory() as folder:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(f"{t} {LINE_END}" if words else t for t in texts if t),
                model_writer=out,
                vocab_size=size,
                model_type=model_type,
                pad_id=PAD,
                eos_id=1,
                unk_id=2,
                bos_id=-1,
                byte_fallback=not words,
                hard_vocab_limit=False,
                remove_extra_whitespaces=words,
                character_coverage=character_coverage,
                split_by_unicode_script=False,  # words like I_TURN_LEFT may be one piece
                max_sentence_length=1 << 16,
                num_threads=1,
                minloglevel=2,
                **(_line_ends(pathlib.Path(folder)) if words else {"normalization_rule_name": "identity"}),
            )
    except RuntimeError as error:
        reason = re.sub(r"^.*\) \[[^]]*\] ?", "", str(error)).strip()
        raise DataError(
            f"SentencePiece could not learn {size} pieces from the texts ({reason}): "
            "ask for another size (at least 300 with byte fallback), or use vocabulary 'bytes'."
        ) from None
    return SentencePieceVocabulary(out.getvalue(), extra_ids)


def _line_ends(folder: pathlib.Path) -> dict[str, str]:
    """The settings that make a line's end the word `LINE_END`, and that a line's end again: tables of code points."""
    rules = {"normalization": f"A\t20 {ord(LINE_END):X} 20\n", "denormalization": f"{ord(LINE_END):X}\tA\n"}
    for name, rule in rules.items():
        (folder / name).write_text(rule, encoding="utf-8")
    return {f"{name}_rule_tsv": str(folder / name) for name in rules}


def load(folder: pathlib.Path) -> Vocabulary:
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
    vocabulary = SentencePieceVocabulary(folder / spec["file"], spec["extra_ids"])
    if vocabulary.spec()["sha256"] != spec["sha256"]:
        raise DataError(f"{folder / spec['file']} is not the model that {path.name} was saved with: restore the file.")
    return vocabulary


def from_name(name: str) -> Vocabulary | None:
    """The vocabulary a config names: "bytes", "pixels", or the path of a .model file or of a folder; None for one to be
    trained ("sentencepiece:8000", see `trained_size`).

    Raises:
      DataError: none of these.
    """
    if name in BYTES:
        return ByteVocabulary(encoding=BYTES[name])
    if trained_size(name):
        return None
    path = pathlib.Path(name).expanduser()
    if path.is_dir():
        return load(path)
    if path.is_file() or path.suffix == ".model":
        return SentencePieceVocabulary(path)
    raise DataError(
        f"Unknown vocabulary '{name}'. Expected 'bytes', 'pixels', 'sentencepiece:8000' (train one of 8,000 pieces on "
        "the training texts; also 'bpe:…', 'words:…'), the path of a SentencePiece .model, or a folder with a saved "
        "vocabulary."
    )


def trained_size(name: str) -> int | None:
    """How many pieces "sentencepiece:8000" (or "bpe:8000", "words:8000") asks to train; None for any other name."""
    match = re.fullmatch(rf"({'|'.join(TRAINED)}):(\d+)", name)
    return int(match[2]) if match else None
