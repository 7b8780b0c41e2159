"""Tokens with the characters they stand for, and the special tokens that a family puts around them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

Span = tuple[int, int]  # the characters of a text from the first up to the second
SPECIAL = -1  # in place of the number of a text


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A text's ids, and the characters that each stands for. A slice is Tokens too, so that windows are slices.

    Attributes:
      ids: [n].
      offsets: [n] of (start, end).
      words: [n], the number of the word that each is of, as the tokenizer cuts words; empty where it cuts none.
    """

    ids: Sequence[int]
    offsets: Sequence[Span]
    words: Sequence[int | None] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> "Tokens":
        return Tokens(self.ids[part], self.offsets[part], self.words[part])


@dataclasses.dataclass(frozen=True)
class EncodedText:
    """What a model reads of a text, or of two.

    Attributes:
      ids: [n].
      types: [n], the token types (BERT's segments).
      offsets: [n] of (start, end): the characters of the token's own text; (0, 0) of special tokens.
      texts: [n], which text a token is of: 0, 1 for the second of a pair, -1 for special tokens.
    """

    ids: list[int]
    types: list[int]
    offsets: list[Span]
    texts: list[int]

    def __len__(self) -> int:
        return len(self.ids)


Part = tuple[int | str, int]  # a special token's id, or the text "A" or "B"; and its token type


@dataclasses.dataclass(frozen=True)
class Frame:
    """The special tokens around a text, and around a pair: BERT's is [CLS] A [SEP], and [CLS] A [SEP] B [SEP].

    Attributes:
      single, pair: the parts in their order.
    """

    single: tuple[Part, ...] = (("A", 0),)
    pair: tuple[Part, ...] = (("A", 0), ("B", 1))

    @classmethod
    def of(cls, single: str, pair: str) -> "Frame":
        """From texts such as "101:0 A:0 102:0": an id, or A or B, and the token type."""

        def parts(text: str) -> tuple[Part, ...]:
            split = (part.split(":") for part in text.split())
            return tuple((what if what in ("A", "B") else int(what), int(type_)) for what, type_ in split)

        return cls(parts(single), parts(pair))

    @classmethod
    def of_processor(cls, state: Mapping[str, Any] | None) -> "Frame":
        """From a post-processor of a tokenizer.json; None for a tokenizer that has none."""
        kind = state["type"] if state else "ByteLevel"
        if kind == "Sequence":
            frames = [cls.of_processor(part) for part in state["processors"]]
            return next((frame for frame in frames if frame != cls()), cls())
        if kind in ("BertProcessing", "RobertaProcessing"):
            cls_, sep = state["cls"][1], state["sep"][1]
            if kind == "BertProcessing":
                return cls.of(f"{cls_}:0 A:0 {sep}:0", f"{cls_}:0 A:0 {sep}:0 B:1 {sep}:1")
            return cls.of(f"{cls_}:0 A:0 {sep}:0", f"{cls_}:0 A:0 {sep}:0 {sep}:0 B:0 {sep}:0")
        if kind != "TemplateProcessing":
            return cls()  # ByteLevel, which is about offsets alone

        def parts(template: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
            found: list[Part] = []
            for part in template:
                ((what, of),) = part.items()
                ids = [of["id"]] if what == "Sequence" else state["special_tokens"][of["id"]]["ids"]
                found.extend((i, of["type_id"]) for i in ids)
            return tuple(found)

        return cls(parts(state["single"]), parts(state["pair"]))

    def added(self, *, pair: bool) -> int:
        """How many special tokens stand around a text, or around a pair."""
        return len(self.pair) - 2 if pair else len(self.single) - 1

    def __call__(self, first: Tokens, second: Tokens | None = None) -> EncodedText:
        """A text, or two, with the special tokens around."""
        out = EncodedText([], [], [], [])
        for what, type_ in self.single if second is None else self.pair:
            if what == "A":
                tokens, text = first, 0
            elif what == "B":
                tokens, text = second, 1
            else:
                tokens, text = Tokens([what], [(0, 0)]), SPECIAL
            out.ids.extend(tokens.ids)
            out.offsets.extend(tokens.offsets)
            out.types.extend([type_] * len(tokens))
            out.texts.extend([text] * len(tokens))
        return out
