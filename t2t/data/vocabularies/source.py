"""The tokenizer files of a folder in Hugging Face's format, read as they are: nothing is executed, no pickle opened."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from t2t.data.vocabularies.sentencepiece_files import Pieces, pieces_of
from t2t.errors import DataError

CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
MODELS = ("spiece.model", "sentencepiece.bpe.model", "spm.model")  # of SentencePiece, by the families' names
FILES = (
    "tokenizer.json", CONFIG, SPECIAL, ADDED, "vocab.txt", "vocab.json", "merges.txt", *MODELS, "source.spm",
    "target.spm", "target_vocab.json",
)  # fmt: skip
PICKLED = ("vocab.pkl", "vocab.bin", "pretrained_vocab.bin")  # Transformer-XL's
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# The class of tokenizer of a family's folders that name none.
BY_MODEL_TYPE = {
    "albert": "AlbertTokenizer", "bart": "RobertaTokenizer", "bert": "BertTokenizer", "big_bird": "BigBirdTokenizer",
    "canine": "CanineTokenizer", "deberta": "DebertaTokenizer", "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "BertTokenizer", "electra": "BertTokenizer", "gpt2": "GPT2Tokenizer", "gpt_neo": "GPT2Tokenizer",
    "longformer": "RobertaTokenizer", "longt5": "T5Tokenizer", "marian": "MarianTokenizer", "mbart": "MBartTokenizer",
    "mt5": "T5Tokenizer", "openai-gpt": "OpenAIGPTTokenizer", "pegasus": "PegasusTokenizer",
    "roberta": "RobertaTokenizer", "t5": "T5Tokenizer", "transfo-xl": "TransfoXLTokenizer", "umt5": "T5Tokenizer",
    "xlm-roberta": "XLMRobertaTokenizer", "xlnet": "XLNetTokenizer",
}  # fmt: skip
SAME = {  # classes that are others under another name
    "BartTokenizer": "RobertaTokenizer", "DistilBertTokenizer": "BertTokenizer", "ElectraTokenizer": "BertTokenizer",
    "LongformerTokenizer": "RobertaTokenizer", "MT5Tokenizer": "T5Tokenizer",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder's tokenizer files.

    Attributes:
      where: the folder, for messages.
      files: their contents, by name.
      kind: the name of transformers' class of tokenizer, by which families differ that have the same files; "" where
        nothing names one.
    """

    where: str
    files: Mapping[str, bytes]
    kind: str

    @classmethod
    def of(cls, folder: pathlib.Path, kind: str = "") -> "Source":
        """Reads a folder.

        Args:
          kind: where it is known, and not to be told from the folder's files.

        Raises:
          DataError: there is no such folder, or a file that is not JSON.
        """
        if not folder.is_dir():
            raise DataError(
                f"There is no folder {folder}: expected one in Hugging Face's format, with tokenizer files."
            )
        source = cls(str(folder), {n: (folder / n).read_bytes() for n in FILES if (folder / n).is_file()}, kind)
        if kind:
            return source
        config = folder / "config.json"
        about = _parsed(config.read_bytes(), str(config)) if config.is_file() else {}
        kind = source.settings.get("tokenizer_class") or about.get("tokenizer_class") or ""
        kind = kind.removesuffix("Fast")
        if kind in ("", "PreTrainedTokenizer", "TokenizersBackend") and "tokenizer.json" not in source.files:
            kind = ""
        if not kind:
            of_decoder = about.get("decoder") or {}  # captioning: the words are the decoder's
            kind = BY_MODEL_TYPE.get(about.get("model_type"), BY_MODEL_TYPE.get(of_decoder.get("model_type"), ""))
        if not source.files and (pickled := [n for n in PICKLED if (folder / n).is_file()]):
            raise DataError(
                f"{folder / pickled[0]} is a pickle, which could run anything and is not opened: write its symbols, "
                "one a line in the order of their ids, into vocab.txt, in a place that you trust."
            )
        return dataclasses.replace(source, kind=SAME.get(kind, kind))

    @property
    def settings(self) -> dict[str, Any]:
        """What tokenizer_config.json says; special_tokens_map.json too, where the former lists no added tokens."""
        settings = self.json(CONFIG) if CONFIG in self.files else {}
        if "added_tokens_decoder" not in settings and SPECIAL in self.files:
            settings |= self.json(SPECIAL)
        return settings

    @property
    def sums(self) -> dict[str, str]:
        """A digest of each file."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}

    def changed(self, **settings: Any) -> "Source":
        """The same with other settings in tokenizer_config.json."""
        content = json.dumps({**(self.json(CONFIG) if CONFIG in self.files else {}), **settings}, indent=2)
        return dataclasses.replace(self, files={**self.files, CONFIG: content.encode()})

    def get(self, name: str) -> bytes:
        """The contents of a file.

        Raises:
          DataError: there is none of this name.
        """
        if name not in self.files:
            raise DataError(
                f"There is no {name} in {self.where}, which a {self.kind or 'tokenizer'} is made of: found "
                f"{', '.join(sorted(self.files)) or 'no tokenizer files'}. Put it there, or a tokenizer.json."
            )
        return self.files[name]

    def json(self, name: str) -> dict[str, Any]:
        """A file that holds a JSON object."""
        return _parsed(self.get(name), f"{self.where}/{name}")

    def lines(self, name: str) -> list[str]:
        """The lines of a file; they end with a line feed and nothing else."""
        lines = self.get(name).decode("utf-8", errors="replace").split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def pieces(self) -> Pieces:
        """The folder's SentencePiece model."""
        name = next((name for name in MODELS if name in self.files), MODELS[0])
        return pieces_of(self.get(name), f"{self.where}/{name}")


def text_of(token: Any) -> str | None:
    """The text of a special token as files have it: a string, or an object with its `content`; None for none."""
    return token["content"] if isinstance(token, dict) else token


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise DataError(f"{name} is not JSON ({error}): restore the file.") from None
    if not isinstance(parsed, dict):
        raise DataError(f"{name}: expected a JSON object, found {type(parsed).__name__}. Restore the file.")
    return parsed
