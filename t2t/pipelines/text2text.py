"""Text made of another text: answers, translations, summaries."""

import dataclasses
from typing import Any, ClassVar

from t2t.data.vocabulary import FolderVocabulary
from t2t.errors import DataError
from t2t.pipelines.generation import Arguments, Generation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text2TextOptions:
    """What is read and given, besides the arguments of `generate_ids`."""

    prefix: str = ""  # before every text, such as "summarize: "
    return_tensors: bool = False  # ids in place of text
    truncation: bool = False  # cut texts that are too long


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationOptions(Text2TextOptions):
    """Also the languages, of models that know several, by their codes ("en_XX")."""

    src_lang: str | None = None
    tgt_lang: str | None = None


class Text2TextGeneration(Generation):
    """A text → a list of {"generated_text"}, one for each of num_return_sequences.

    As in transformers, a list of texts gives a list of dicts where each has one sequence, else a list of lists.
    """

    Options = Text2TextOptions
    architectures = ("encoder-decoder",)
    name: ClassVar[str] = "generated"  # of what is given

    def __call__(self, inputs: Any, **options: Any) -> Any:
        found = super().__call__(inputs, **options)
        alone = isinstance(inputs, (list, tuple)) and all(len(of_text) == 1 for of_text in found)
        return [of_text[0] for of_text in found] if alone else found

    def run(self, inputs: list[str], options: tuple[Text2TextOptions, Arguments]) -> list[list[dict[str, Any]]]:
        own, arguments = options
        reader = self.reader(own)
        texts = [own.prefix + self.text(text) for text in inputs]
        rows = [self.encode(text, truncation=own.truncation, vocabulary=reader) for text in texts]
        return [[self._result(ids, own) for ids in of_text] for of_text in self.generated(rows, arguments)]

    def reader(self, own: Text2TextOptions) -> FolderVocabulary:
        """The vocabulary that reads the texts."""
        return self.vocabulary

    def _result(self, ids: list[int], own: Text2TextOptions) -> dict[str, Any]:
        if own.return_tensors:
            return {f"{self.name}_token_ids": ids}
        return {f"{self.name}_text": self.vocabulary.spell(ids, special=False)}


class Summarization(Text2TextGeneration):
    """A text → a list of {"summary_text"}."""

    name = "summary"


class Translation(Text2TextGeneration):
    """A text → a list of {"translation_text"}."""

    Options = TranslationOptions
    name = "translation"

    def reader(self, own: TranslationOptions) -> FolderVocabulary:
        return self.vocabulary if own.src_lang is None else self.vocabulary.in_language(own.src_lang)

    def run(self, inputs: list[str], options: tuple[TranslationOptions, Arguments]) -> list[list[dict[str, Any]]]:
        own, arguments = options
        if own.tgt_lang is not None:
            first = self.vocabulary.id_of(own.tgt_lang)
            if first is None:
                raise DataError(f"tgt_lang: the tokenizer of {self.model.folder} knows no language '{own.tgt_lang}'.")
            arguments = {"forced_bos_token_id": first, **arguments}
        return super().run(inputs, (own, arguments))
