"""Folders whose tokens need no model: ByT5's bytes and CANINE's code points; and text that is searched for special
tokens first."""

import re
from collections.abc import Mapping, Sequence

from t2t.data.vocabularies.bytes import ByteVocabulary
from t2t.data.vocabularies.folder import FolderVocabulary
from t2t.data.vocabularies.framing import EncodedText, Frame, Span, Tokens
from t2t.data.vocabularies.source import Source
from t2t.data.vocabularies.vocabulary import check_paired

CODE_POINTS = 0x110000  # of Unicode
CANINE = {"pad": 0, "cls": 0xE000, "sep": 0xE001, "bos": 0xE000, "eos": 0xE001, "mask": 0xE003}  # in its private area


class Byt5Vocabulary(FolderVocabulary):
    """UTF-8 bytes (Xue et al. 2022); <extra_id_0> and so on in a text are ids after those of the bytes, as in
    `transformers`, while span corruption has ByT5's own sentinels, the last bytes'."""

    DEFAULTS = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}

    def _start(self) -> None:
        self._bytes = ByteVocabulary(self.source.settings.get("extra_ids") or 125)  # saved folders say 0 and mean 125
        self.size, self.frame = self._bytes.size, ByteVocabulary.frame
        first = [self.named[name] for name in self.DEFAULTS]
        self._special = {token: i for i, token in enumerate(first)}
        self._special |= {f"<extra_id_{i}>": 259 + i for i in range(self._bytes.extra_ids)}
        self._strips = {**dict.fromkeys(first, (True, True)), **_strips(self.source)}

    sentinels = property(lambda self: self._bytes.sentinels)

    def _sentinel(self, i: int) -> int:
        return self._bytes.sentinel(i)

    def id_of(self, token: str) -> int | None:
        return self._special.get(token)

    def tokens(self, text: str) -> Tokens:
        check_paired(text)
        ids: list[int] = []
        offsets: list[Span] = []
        for start, end, special in apart(text, self._special, self._strips):
            found = self._bytes.tokens(text[start:end]) if special is None else Tokens([special], [(0, end - start)])
            ids.extend(found.ids)
            offsets.extend((start + a, start + b) for a, b in found.offsets)
        return Tokens(ids, offsets)

    def join(self, first: Tokens, second: Tokens | None = None) -> EncodedText:
        return self.frame(*(self._without_end(tokens) for tokens in (first, second) if tokens is not None))

    def _without_end(self, tokens: Tokens) -> Tokens:
        """A text that ends with </s> gets no other."""
        return tokens[:-1] if len(tokens) and tokens.ids[-1] == self.eos_id else tokens

    def _decode(self, ids: Sequence[int]) -> str:
        return self._bytes.decode(ids)


class CanineVocabulary(FolderVocabulary):
    """Code points (Clark et al. 2022); special tokens are some of Unicode's private area. The second text of a pair has
    token type 1, as its authors have it (`transformers` 5 gives 0)."""

    DEFAULTS = {name: chr(i) for name, i in CANINE.items()}
    size = CODE_POINTS
    frame = Frame.of(
        f"{CANINE['cls']}:0 A:0 {CANINE['sep']}:0",
        f"{CANINE['cls']}:0 A:0 {CANINE['sep']}:0 B:1 {CANINE['sep']}:1",
    )

    def _start(self) -> None:
        self._strips = {token: sides for token, sides in _strips(self.source).items() if any(sides)}

    def id_of(self, token: str) -> int | None:
        return ord(token) if len(token) == 1 else None

    def tokens(self, text: str) -> Tokens:
        check_paired(text)
        parts = apart(text, dict.fromkeys(self._strips, 0), self._strips) if self._strips else [(0, len(text), None)]
        kept = [i for start, end, _ in parts for i in range(start, end)]
        return Tokens([ord(text[i]) for i in kept], [(i, i + 1) for i in kept])

    def _decode(self, ids: Sequence[int]) -> str:
        special = set(self.special_ids.values())
        return "".join(chr(i) for i in ids if i not in special)


Sides = tuple[bool, bool]  # whether a special token takes the white space before it, and after it


def _strips(source: Source) -> dict[str, Sides]:
    """What a folder says of the white space around its special tokens."""
    listed = source.settings.get("added_tokens_decoder", {}).values()
    return {token["content"]: (token.get("lstrip", False), token.get("rstrip", False)) for token in listed}


def apart(text: str, special: Mapping[str, int], strips: Mapping[str, Sides]) -> list[tuple[int, int, int | None]]:
    """Where special tokens stand in a text, and what is between: (start, end, the special token's id or None).

    Args:
      special: ids by texts; of those that begin alike the longest counts.
      strips: those that take white space around them.
    """
    pattern = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True))
    found, before = [], 0
    for match in re.finditer(pattern, text):
        start, end = match.span()
        left, right = strips.get(match[0], (False, False))
        plain = text[before:start]
        if plain := plain.rstrip() if left else plain:
            found.append((before, before + len(plain), None))
        found.append((start, end, special[match[0]]))
        before = end
        while right and before < len(text) and text[before].isspace():
            before += 1
    if before < len(text):
        found.append((before, len(text), None))
    return found
