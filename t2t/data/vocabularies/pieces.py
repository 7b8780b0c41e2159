"""SentencePiece models: T5's, and those that are trained here."""

import hashlib
import json
import pathlib
import re
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from t2t.data.vocabularies.framing import Frame, Span, Tokens
from t2t.data.vocabularies.vocabulary import PAD, Vocabulary, check_paired
from t2t.errors import DataError

TRAINED = {"sentencepiece": "unigram", "bpe": "bpe", "words": "word"}  # names of those to train, and their model types
LINE_END = "\N{SYMBOL FOR NEWLINE}"  # the word that stands for one


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
        processor = self._processor = processor_of(self.model)
        if processor.pad_id() not in (PAD, -1) or processor.eos_id() < 0:
            raise DataError(
                "Expected a SentencePiece model with pad 0 and an end of sequence, found pad "
                f"{processor.pad_id()} and end {processor.eos_id()}: train it with pad_id=0, eos_id=1, unk_id=2."
            )
        self.eos_id, self.unk_id = processor.eos_id(), processor.unk_id()
        self.frame = Frame.of(f"A:0 {self.eos_id}:0", f"A:0 {self.eos_id}:0 B:0 {self.eos_id}:0")
        self.pieces = processor.get_piece_size()
        self.sentinels, self.size = self.extra_ids, self.pieces + self.extra_ids

    def __getstate__(self):
        return {"model": self.model, "extra_ids": self.extra_ids}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def encode(self, text: str) -> list[int]:
        check_paired(text)
        return self._processor.encode(text)

    def tokens(self, text: str) -> Tokens:
        check_paired(text)
        found = spans_of(self._processor, text)
        return Tokens([i for i, _, _ in found], [span for _, _, span in found])

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

    def save_files(self, folder: pathlib.Path) -> None:
        (pathlib.Path(folder) / "spiece.model").write_bytes(self.model)
        sentinels = [f"<extra_id_{i}>" for i in range(self.extra_ids)]
        settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": self.extra_ids, "pad_token": "<pad>"}
        settings |= {"eos_token": "</s>", "unk_token": "<unk>", "additional_special_tokens": sentinels}
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def processor_of(model: bytes) -> Any:
    """A SentencePiece processor.

    Raises:
      DataError: no such model.
    """
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        raise DataError(f"This is no SentencePiece model: {model[:40]!r}…") from None


def spans_of(processor: Any, text: str) -> list[tuple[int, str, Span]]:
    """The pieces of a text: id, piece, and the characters it stands for."""
    from sentencepiece.sentencepiece_pb2 import SentencePieceText

    found = SentencePieceText.FromString(processor.encode(text, out_type="serialized_proto"))
    of = [i for i, c in enumerate(text) for _ in c.encode()] + [len(text)]  # the character that a byte is of
    return [(p.id, p.piece, (of[p.begin], of[p.end - 1] + 1 if p.end > p.begin else of[p.begin])) for p in found.pieces]


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
