"""Bytes as tokens, in ByT5's layout, and pixels likewise."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

from t2t.data.vocabularies.framing import Tokens
from t2t.data.vocabularies.vocabulary import Vocabulary, check_paired
from t2t.errors import DataError

OFFSET = 3  # ids before the first byte: pad, end, unknown


class ByteVocabulary(Vocabulary):
    """UTF-8 bytes in ByT5's layout (Xue et al. 2022, section 3.1): pad 0, end 1, unknown 2, byte b is b + 3.

    As in ByT5, the sentinels are the last byte ids, descending from 258, and 125 more ids fill the table up to 384.

    Args:
      encoding: "latin-1" for text that stands for numbers from 0 to 255, a character each, such as pixels.
    """

    def __init__(self, extra_ids: int = 125, encoding: Literal["utf-8", "latin-1"] = "utf-8"):
        self.extra_ids, self.encoding = extra_ids, encoding
        self.size = OFFSET + 256 + extra_ids
        self.sentinels = 100

    def _sentinel(self, i: int) -> int:
        return OFFSET + 255 - i

    def encode(self, text: str) -> list[int]:
        if self.encoding == "utf-8":
            check_paired(text)
        try:
            return [byte + OFFSET for byte in text.encode(self.encoding)]
        except UnicodeEncodeError as error:
            raise DataError(
                f"The vocabulary 'pixels' has characters 0 to 255, found {text[error.start]!r} at character "
                f"{error.start}: use 'bytes' for text."
            ) from None

    def tokens(self, text: str) -> Tokens:
        ids = self.encode(text)
        offsets = [(i, i + 1) for i, c in enumerate(text) for _ in c.encode(self.encoding)]
        return Tokens(ids, offsets)

    def _decode(self, ids: Sequence[int]) -> str:
        return bytes(i - OFFSET for i in ids if OFFSET <= i < OFFSET + 256).decode(self.encoding, errors="replace")

    def save_files(self, folder: pathlib.Path) -> None:
        if self.encoding != "utf-8":
            super().save_files(folder)
        settings = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": self.extra_ids, "pad_token": "<pad>"}
        settings |= {"eos_token": "</s>", "unk_token": "<unk>"}
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")

    def spec(self) -> dict[str, Any]:
        return {"name": "bytes" if self.encoding == "utf-8" else "pixels", "extra_ids": self.extra_ids}
