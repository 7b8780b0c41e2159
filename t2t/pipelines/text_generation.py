"""How a text goes on."""

import dataclasses
from typing import Any

from t2t.data.vocabulary import EncodedText
from t2t.errors import DataError
from t2t.pipelines.generation import Arguments, Generation
from t2t.pretrained import Pretrained


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextGenerationOptions:
    """What is given, besides the arguments of `generate_ids`."""

    prefix: str = ""  # before every prompt
    return_full_text: bool = True  # the prompt too
    return_tensors: bool = False  # ids in place of text, those of the prompt among them


class TextGeneration(Generation):
    """A prompt → a list of {"generated_text"}, one for each of num_return_sequences."""

    Options = TextGenerationOptions
    architectures = ("decoder",)

    @classmethod
    def fits(cls, model: Pretrained) -> bool:
        return model.config.goes_on and cls.output in model.config.outputs

    def run(self, inputs: list[str], options: tuple[TextGenerationOptions, Arguments]) -> list[list[dict[str, Any]]]:
        own, arguments = options
        rows = [self._prompt(text, own.prefix) for text in inputs]
        found = self.generated(rows, arguments)
        return [
            [self._result(text, row.ids, ids, own) for ids in of_text]
            for text, row, of_text in zip(inputs, rows, found)
        ]

    def _prompt(self, text: str, prefix: str) -> EncodedText:
        """No special tokens are put around a prompt, which is the beginning of a text; where it is empty, the one that
        texts begin with."""
        tokens = self.tokens(prefix + self.text(text))
        ids, offsets = list(tokens.ids), list(tokens.offsets)
        if not ids:
            named = self.vocabulary.special_ids
            start = named.get("bos", named.get("eos"))
            if start is None:
                raise DataError("text-generation: the prompt is empty, and no token begins a text: give a prompt.")
            ids, offsets = [start], [(0, 0)]
        return self.checked(EncodedText(ids, [0] * len(ids), offsets, [0] * len(ids)))

    def _result(self, text: str, prompt: list[int], new: list[int], own: TextGenerationOptions) -> dict[str, Any]:
        if own.return_tensors:
            return {"generated_token_ids": [*prompt, *new]}
        before = self.vocabulary.spell(
            prompt, special=False
        )  # decoded with it: what comes after may begin with a space
        after = self.vocabulary.spell([*prompt, *new], special=False)[len(before) :]
        return {"generated_text": text + after if own.return_full_text else after}
