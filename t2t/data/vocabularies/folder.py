"""The vocabulary that a folder in Hugging Face's format carries, whatever its files are."""

import copy
import itertools
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from t2t.data.vocabularies import recipes
from t2t.data.vocabularies.framing import Frame, Tokens
from t2t.data.vocabularies.source import Source, text_of
from t2t.data.vocabularies.vocabulary import Vocabulary, check_paired
from t2t.errors import DataError

CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")  # lose their spaces, in this order


class FolderVocabulary(Vocabulary):
    """What all of them share: the files, which are kept as they are, and the special tokens by name.

    Attributes:
      source: the files.
      named: the texts of the special tokens, by their names: "bos", "eos", "unk", "sep", "pad", "cls", "mask".
      special_ids: their ids.

    Raises:
      DataError: files that are missing, damaged, do not fit each other, or are of a kind that is not here.
    """

    DEFAULTS: Mapping[str, str] = {}  # the special tokens of a folder that names none
    pad_id = unk_id = None

    def __init__(self, source: Source):
        self.source = source
        said = {name: text_of(token) for name, token in recipes.special_tokens(source).items()}
        self.named = {**self.DEFAULTS, **said}
        self._cleaned = CLEANED if source.settings.get("clean_up_tokenization_spaces", False) else ()
        self._start()
        self.special_ids = {name: i for name, token in self.named.items() if (i := self.id_of(token)) is not None}
        for name in self.special_ids.keys() - {"eos"}:
            setattr(self, f"{name}_id", self.special_ids[name])

    def _start(self) -> None:
        """Makes what the class works with, `size` and `frame` among it."""
        raise TypeError(f"{type(self).__name__} does not start")

    def __getstate__(self):
        return {"source": self.source}

    def __setstate__(self, state):
        self.__init__(state["source"])

    @property
    def eos_id(self) -> int:
        """The id that ends a sequence: the separator's where nothing else does.

        Raises:
          DataError: the folder names neither.
        """
        if (found := self._end) is None:
            raise DataError(
                f"The tokenizer of {self.source.where} names no end of sequence: put an eos_token into its "
                "tokenizer_config.json."
            )
        return found

    @property
    def _end(self) -> int | None:
        return self.special_ids.get("eos", self.special_ids.get("sep"))

    def id_of(self, token: str) -> int | None:
        """The id of a token by its own text, such as "<mask>" or "ro_RO"; None where there is none."""
        raise TypeError(f"{type(self).__name__} has no tokens by name")

    @property
    def sentinels(self) -> int:
        count = 0
        while self.id_of(f"<extra_id_{count}>") is not None:
            count += 1
        return count

    def _sentinel(self, i: int) -> int:
        return self.id_of(f"<extra_id_{i}>")

    def decode(self, ids: Iterable[int]) -> str:
        return self._clean(super().decode(ids) if self._end is not None else self._decode(list(ids)))

    def spell(self, ids: Iterable[int], *, special: bool = True) -> str:
        """The text of all ids, whatever stands after an end of sequence: special tokens spelled out, or left out."""
        return self._clean(self._spell(ids) if special else self._decode(list(ids)))

    def _spell(self, ids: Iterable[int]) -> str:
        texts = {i: self.named[name] for name, i in self.special_ids.items()}
        parts = ((token, list(run)) for token, run in itertools.groupby(ids, key=texts.get))
        return "".join(self._decode(run) if token is None else token * len(run) for token, run in parts)

    def _clean(self, text: str) -> str:
        for apart in self._cleaned:
            text = text.replace(apart, apart.strip())
        return text

    def token_of(self, i: int) -> str:
        """A token's own text, such as "##ing"; the inverse of `id_of`."""
        return self._spell([i])

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """The text that tokens make, which are given by their own texts."""
        return "".join(tokens)

    def in_language(self, code: str) -> "FolderVocabulary":
        """The same for texts in another language, of models whose special tokens name it (mBART's).

        Raises:
          DataError: there is no such language, or the model's frame names none.
        """
        recipe = recipes.RECIPES.get(self.source.kind)
        if recipe is None or "lang" not in recipe.single.split() or self.id_of(code) is None:
            raise DataError(f"The tokenizer of {self.source.where}, a {self.source.kind}, knows no language '{code}'.")
        other = copy.copy(self)
        other.source = self.source.changed(src_lang=code)
        other.frame = Frame.of_processor(_state(recipes.frame(recipe, self.id_of, other.source)))
        return other

    def spec(self) -> dict[str, Any]:
        return {"name": "folder", "kind": self.source.kind, "files": self.source.sums}

    def save(self, folder: pathlib.Path) -> None:
        super().save(folder)
        self.save_files(folder)

    def save_files(self, folder: pathlib.Path) -> None:
        for name, content in self.source.files.items():
            (pathlib.Path(folder) / name).write_bytes(content)


class TokenizerVocabulary(FolderVocabulary):
    """Of a tokenizer.json, or of the older files of the classes in `recipes`."""

    def _start(self) -> None:
        source = self.source
        tokenizer = _read(source) if "tokenizer.json" in source.files else recipes.make(source)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.size = tokenizer, 1 + max(tokenizer.get_vocab().values(), default=-1)
        self.frame = Frame.of_processor(_state(tokenizer.post_processor))
        if isinstance(tokenizer.model, models.BPE):
            self._cleaned = ()  # its pieces have their spaces

    def id_of(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def encode(self, text: str) -> list[int]:
        check_paired(text)
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def tokens(self, text: str) -> Tokens:
        check_paired(text)
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return Tokens(found.ids, found.offsets, found.word_ids)

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _spell(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def token_of(self, i: int) -> str:
        return self._tokenizer.id_to_token(i) or ""

    def join_tokens(self, tokens: Sequence[str]) -> str:
        decoder = self._tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))


def _read(source: Source) -> Tokenizer:
    """A tokenizer.json, with what tokenizer_config.json says beside it."""
    try:
        tokenizer = Tokenizer.from_str(source.get("tokenizer.json").decode("utf-8"))
    except Exception as error:  # what the library raises
        raise DataError(f"{source.where}/tokenizer.json is damaged ({error}): restore the file.") from None
    settings = source.settings
    normalizer, splits = tokenizer.normalizer, tokenizer.pre_tokenizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        normalizer.lowercase = settings.get("do_lower_case", normalizer.lowercase)
        normalizer.strip_accents = settings.get("strip_accents", normalizer.strip_accents)
        normalizer.handle_chinese_chars = settings.get("tokenize_chinese_chars", normalizer.handle_chinese_chars)
        tokenizer.normalizer = normalizer
    if isinstance(splits, pre_tokenizers.ByteLevel):
        splits.add_prefix_space = settings.get("add_prefix_space", splits.add_prefix_space)
        tokenizer.pre_tokenizer = splits
    recipes.add_tokens(tokenizer, source)
    recipe = recipes.RECIPES.get(source.kind)
    in_language = recipe and "lang" in recipe.single.split() and settings.get("src_lang")
    if in_language or (recipe and tokenizer.post_processor is None):
        tokenizer.post_processor = recipes.frame(recipe, tokenizer.token_to_id, source)
    return tokenizer


def _state(processor: Any) -> Mapping[str, Any] | None:
    return None if processor is None else json.loads(processor.__getstate__())
