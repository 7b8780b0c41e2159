"""Marian's: a SentencePiece model for each language, whose pieces have the ids of vocab.json."""

from collections.abc import Sequence

from t2t.data.vocabularies.characters import apart
from t2t.data.vocabularies.folder import FolderVocabulary
from t2t.data.vocabularies.framing import Frame, Span, Tokens
from t2t.data.vocabularies.pieces import processor_of, spans_of
from t2t.data.vocabularies.vocabulary import check_paired
from t2t.errors import DataError


class MarianVocabulary(FolderVocabulary):
    """Junczys-Dowmunt et al. 2018, as the OPUS models have it (Tiedemann and Thottingal 2020).

    Texts to read are of the source language (`encode`), texts to write of the target language (`encode_target`,
    `decode`). A text may begin with the language to write, such as ">>fr<<".
    """

    DEFAULTS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}

    def _start(self) -> None:
        source = self.source
        self._read = processor_of(source.get("source.spm"))
        self._write = processor_of(source.get("target.spm"))
        self._ids = source.json("vocab.json")
        self._target_ids = source.json("target_vocab.json") if source.settings.get("separate_vocabs") else self._ids
        self._pieces = {i: piece for piece, i in self._target_ids.items()}
        absent = sorted({self.named["eos"], self.named["unk"]} - set(self._ids))
        if absent:
            raise DataError(f"{source.where}/vocab.json has no {' and no '.join(absent)}: it is not a Marian model's.")
        self._special = {token: self._ids[token] for token in self.named.values() if token in self._ids}
        end = self._ids[self.named["eos"]]
        self.size = 1 + max(*self._ids.values(), *self._target_ids.values())
        self.frame = Frame.of(f"A:0 {end}:0", f"A:0 B:0 {end}:0")

    def id_of(self, token: str) -> int | None:
        return self._ids.get(token)

    def tokens(self, text: str) -> Tokens:
        return self._tokens(text, self._read, self._ids)

    def encode_target(self, text: str) -> list[int]:
        return list(self._tokens(text, self._write, self._target_ids).ids)

    def _tokens(self, text: str, processor, ids_of) -> Tokens:
        check_paired(text)
        ids: list[int] = []
        offsets: list[Span] = []
        for start, end, special in apart(text, self._special, {}):
            if special is not None:
                ids.append(special)
                offsets.append((start, end))
                continue
            part = text[start:end]
            code = part.find("<<") + 2 if part.startswith(">>") and "<<" in part else 0
            if code:
                ids.append(ids_of.get(part[:code], self.unk_id))
                offsets.append((start, start + code))
            for _, piece, (a, b) in spans_of(processor, part[code:]):
                ids.append(ids_of.get(piece, self.unk_id))
                offsets.append((start + code + a, start + code + b))
        return Tokens(ids, offsets)

    def _decode(self, ids: Sequence[int]) -> str:
        special = set(self._special.values())
        text = self._write.decode([self._pieces[i] for i in ids if i in self._pieces and i not in special])
        return text.replace("▁", " ").strip()  # of pieces that the model of the target language does not know
