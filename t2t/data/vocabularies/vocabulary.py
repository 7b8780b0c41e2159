"""The interface of all vocabularies: text into token ids and back, and what a model reads of a text or of a pair."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from t2t.data.vocabularies.framing import EncodedText, Frame, Tokens
from t2t.errors import DataError

PAD = 0


class Vocabulary:
    """Text into token ids and back.

    Attributes:
      size: how many ids there are, sentinels included.
      pad_id, eos_id, unk_id, bos_id, cls_id, sep_id, mask_id: of padding, the end of a sequence, what is unknown, and
        so on; None where there is none.
      sentinels: how many sentinel ids span corruption may use.
      frame: the special tokens that models want around a text, and around a pair.
    """

    size: int
    pad_id: int | None = PAD
    eos_id: int = 1
    unk_id: int | None = 2
    bos_id: int | None = None
    cls_id: int | None = None
    sep_id: int | None = None
    mask_id: int | None = None
    sentinels: int
    frame: Frame = Frame.of("A:0 1:0", "A:0 1:0 B:0 1:0")  # T5's

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without an end of sequence.

        Raises:
          DataError: a text with an unpaired surrogate.
        """
        return list(self.tokens(text).ids)

    def encode_target(self, text: str) -> list[int]:
        """The ids of a text that a model is to write: those of `encode`, but for Marian's second model."""
        return self.encode(text)

    def tokens(self, text: str) -> Tokens:
        """The ids of a text, without special tokens, and which characters each stands for.

        Raises:
          DataError: a text with an unpaired surrogate.
        """
        raise TypeError(f"{type(self).__name__} does not encode")

    def encode_for_model(self, text: str, pair: str | None = None) -> EncodedText:
        """A text, or two, as a model reads them: with the family's special tokens around.

        Raises:
          DataError: a text with an unpaired surrogate.
        """
        return self.join(self.tokens(text), None if pair is None else self.tokens(pair))

    def join(self, first: Tokens, second: Tokens | None = None) -> EncodedText:
        """Tokens of a text, or of two, with the family's special tokens around: `encode_for_model` for those who cut
        long texts into windows."""
        return self.frame(first, second)

    def sequence(self, text: str, *, target: bool = False) -> list[int]:
        """The ids of a text as an example's inputs, or targets: in the family's frame, and with an end of sequence
        where the frame has nothing after the text."""
        ids = self.encode_target(text) if target else self.encode(text)
        framed = self.join(Tokens(ids, [(0, 0)] * len(ids))).ids
        return [*framed, self.eos_id] if self.frame.single[-1][0] == "A" else framed

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end of sequence; padding is left out."""
        kept = []
        for i in ids:
            if i == self.eos_id:
                break
            if i != self.pad_id:
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
        return self._sentinel(i)

    def _sentinel(self, i: int) -> int:
        return self.size - 1 - i

    @property
    def masking(self) -> tuple[int, tuple[int, int]]:
        """For masked language models: the mask's id, and the first and one after the last of the ids that may stand in
        its place.

        Where the vocabulary has no mask it is the first sentinel, and the others are those before the sentinels.
        """
        if self.mask_id is not None:
            return self.mask_id, (0, self.size)
        first = max(i for i in (self.eos_id, self.unk_id, 0) if i is not None) + 1
        return self.sentinel(0), (first, self.sentinel(self.sentinels - 1))

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

    def save_files(self, folder: pathlib.Path) -> None:
        """Writes the files by which other libraries know it into a folder, for instance beside a model that
        transformers is to load; `from_folder` reads them.

        Raises:
          DataError: it has none.
        """
        raise DataError(f"{type(self).__name__} has no files that transformers reads: save the model without.")


def check_paired(text: str) -> None:
    """Raises DataError where a text holds an unpaired surrogate, which no vocabulary here can encode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"The text holds an unpaired surrogate at character {error.start}, which UTF-8 cannot encode: "
            "mend or remove it."
        ) from None
