"""How each class of tokenizer is made from a folder's files, as `transformers` 5 makes it: the model of its words, what
is done to text before, the special tokens, and the frame they make around a text."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from t2t.data.vocabularies import unigrams
from t2t.data.vocabularies.source import ADDED, NAMED, Source, text_of
from t2t.errors import DataError, unknown

Tokens = Mapping[str, str | None]  # the text of each special token, by its name: "bos", "eos", …


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A class of tokenizer.

    Attributes:
      build: a folder's files → the tokenizer, but for special tokens.
      single, pair: the frame: names of special tokens, A and B, each with its token type where that is not 0.
      tokens: the special tokens of a folder that names none.
      extra: more of them, of a folder that names no more; of SentencePiece models also their control symbols.
      strips: whether the mask takes the space before it.
      trims: whether the characters of a token are without the spaces that it begins with.
    """

    build: Callable[[Source], Tokenizer]
    single: str
    pair: str
    tokens: Tokens
    extra: Callable[[Source], Iterable[str]] = lambda source: ()
    strips: bool = False
    trims: bool = False


def make(source: Source) -> Tokenizer:
    """The tokenizer that a folder's files make, with its special tokens and its frame.

    Raises:
      DataError: files that are missing, damaged or do not fit each other, or a class that is not here.
    """
    if source.kind not in RECIPES:
        found = ", ".join(sorted(source.files)) or "no tokenizer files"
        why = unknown("tokenizer_class", source.kind, RECIPES) if source.kind else "Nothing says whose they are."
        raise DataError(
            f"{source.where} has {found}, and no tokenizer.json. {why} Save it with transformers' save_pretrained, "
            "which writes a tokenizer.json, or add a tokenizer_config.json with a tokenizer_class."
        )
    recipe = RECIPES[source.kind]
    try:
        tokenizer = recipe.build(source)
        add_tokens(tokenizer, source)
        tokenizer.post_processor = frame(recipe, tokenizer.token_to_id, source)
    except DataError:
        raise
    except Exception as error:  # what the library raises
        raise DataError(f"The tokenizer files in {source.where} do not fit each other: {error}.") from None
    return tokenizer


def special_tokens(source: Source) -> dict[str, Any]:
    """The special tokens of a folder by their names, "bos", "eos" and so on: texts, or objects as in the files."""
    tokens = dict(RECIPES[source.kind].tokens) if source.kind in RECIPES else {}
    settings = source.settings
    tokens |= {name.removesuffix("_token"): settings[name] for name in NAMED if name in settings}
    order = [name.removesuffix("_token") for name in NAMED]
    return {name: tokens[name] for name in order if tokens.get(name) is not None}


def add_tokens(tokenizer: Tokenizer, source: Source) -> None:
    """Adds the tokens that a folder adds to its vocabulary, and its special ones, which text is searched for first."""
    settings, recipe = source.settings, RECIPES.get(source.kind)
    named = special_tokens(source)
    listed = settings.get("added_tokens_decoder", {})
    added = [_added(listed[i]) for i in sorted(listed, key=int)]
    if not listed and ADDED in source.files:
        special = {text_of(token) for token in named.values()}
        legacy = sorted(source.json(ADDED).items(), key=lambda item: item[1])
        added = [AddedToken(t, normalized=t not in special, special=t in special) for t, _ in legacy]
    known = {token.content for token in [*added, *tokenizer.get_added_tokens_decoder().values()]}
    for name, token in named.items():
        if text_of(token) not in known:
            added.append(_added(token, lstrip=recipe is not None and recipe.strips and name == "mask"))
    added += [token for token in _extra(source, recipe) if token.content not in known]
    tokenizer.add_tokens(added)


def _extra(source: Source, recipe: Recipe | None) -> list[AddedToken]:
    """The special tokens without a name."""
    settings = source.settings
    said = settings.get("extra_special_tokens") or settings.get("additional_special_tokens")
    if isinstance(said, dict):
        said = list(said.values())
    if said is not None:
        return [_added(token) for token in said]
    if recipe is None or "tokenizer.json" in source.files:
        return []
    control = source.pieces().added if recipe.build.__module__ == unigrams.__name__ else []
    return [
        *(AddedToken(token, normalized=False, special=special) for token, special in control),
        *(_added(token) for token in recipe.extra(source)),
    ]


def _added(token: Any, lstrip: bool = False) -> AddedToken:
    if isinstance(token, dict):
        known = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")
        return AddedToken(**{"special": True, **{k: v for k, v in token.items() if k in known}})
    return AddedToken(token, lstrip=lstrip, special=True)


def frame(recipe: Recipe, id_of: Callable[[str], int], source: Source) -> Any:
    """The post-processor that puts a recipe's special tokens around a text."""
    texts = {name: text_of(token) for name, token in special_tokens(source).items()}
    texts["lang"] = source.settings.get("src_lang") or "en_XX"

    def ended(name: str) -> tuple[str, int]:
        return texts[name], id_of(texts[name])

    def parts(words: str) -> list[str]:
        split = (part.partition(":") for part in words.split())
        return [f"{'$' + what if what in 'AB' else texts[what]}:{type_ or 0}" for what, _, type_ in split]

    if recipe.trims:
        settings = source.settings
        trims, prefix = settings.get("trim_offsets", True), settings.get("add_prefix_space", False)
        return processors.RobertaProcessing(ended("sep"), ended("cls"), trims, prefix)
    used = {part.partition(":")[0] for part in f"{recipe.single} {recipe.pair}".split()} - {"A", "B"}
    return processors.TemplateProcessing(
        single=parts(recipe.single), pair=parts(recipe.pair), special_tokens=[ended(name) for name in sorted(used)]
    )


def _word_pieces(source: Source) -> Tokenizer:
    """Devlin et al. 2019: whole words where they are known, else the longest pieces from the left."""
    settings = source.settings
    words = {line.rstrip(): i for i, line in enumerate(source.lines("vocab.txt"))}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token=text_of(special_tokens(source)["unk"])))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _byte_pairs(source: Source) -> Tokenizer:
    """Radford et al. 2019: pairs of bytes, so that nothing is unknown."""
    tokenizer = Tokenizer(models.BPE(source.json("vocab.json"), _merges(source)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(source.settings.get("add_prefix_space", False))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pairs_in_words(source: Source) -> Tokenizer:
    """Radford et al. 2018: pairs of characters within words, the last of which ends in </w>."""
    unk = text_of(special_tokens(source)["unk"])
    model = models.BPE(source.json("vocab.json"), _merges(source), end_of_word_suffix="</w>", unk_token=unk)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer


def _words(source: Source) -> Tokenizer:
    """Dai et al. 2019: what stands between spaces, in text whose words are apart already; a line's end is <eos>."""
    words = {line.split()[0]: i for i, line in enumerate(source.lines("vocab.txt")) if line.strip()}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<UNK>" if "<UNK>" in words else "<unk>"))
    lower = [normalizers.Lowercase()] if source.settings.get("lower_case", False) else []
    tokenizer.normalizer = normalizers.Sequence([*lower, normalizers.Replace("\n", " <eos> ")])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _merges(source: Source) -> list[tuple[str, str]]:
    lines = [line.rstrip("\r") for line in source.lines("merges.txt")]
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    for merge in merges:
        if len(merge) != 2:
            raise DataError(f"{source.where}/merges.txt: expected two pieces a line, found {' '.join(merge)!r}.")
    return merges


BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
FAIRSEQ = {
    "bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>",
}  # fmt: skip
CLS_SEP = ("cls A sep", "cls A sep B:1 sep:1")
T5 = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
RECIPES = {
    "AlbertTokenizer": Recipe(
        unigrams.albert, *CLS_SEP, {**BERT, "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"}
    ),
    "BertTokenizer": Recipe(_word_pieces, *CLS_SEP, BERT),
    "BigBirdTokenizer": Recipe(
        unigrams.big_bird,
        *CLS_SEP,
        {**FAIRSEQ, "sep": "[SEP]", "cls": "[CLS]", "mask": "[MASK]"},
        strips=True,
    ),
    "DebertaTokenizer": Recipe(
        _byte_pairs, "cls A sep", "cls A sep sep B sep", {**BERT, "bos": "[CLS]", "eos": "[SEP]"}
    ),
    "DebertaV2Tokenizer": Recipe(unigrams.deberta_v2, *CLS_SEP, {**BERT, "bos": "[CLS]", "eos": "[SEP]"}),
    "GPT2Tokenizer": Recipe(
        _byte_pairs, "A", "A B:1", {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    ),
    "MBartTokenizer": Recipe(
        unigrams.mbart, "A eos lang", "A B eos lang", FAIRSEQ, extra=lambda source: unigrams.LANGUAGES, strips=True
    ),
    "MBart50Tokenizer": Recipe(
        unigrams.mbart50,
        "lang A eos",
        "lang A B eos",
        FAIRSEQ | {"bos": None},
        extra=lambda source: unigrams.LANGUAGES_50,
        strips=True,
    ),
    "OpenAIGPTTokenizer": Recipe(_pairs_in_words, "A", "A B:1", {"unk": "<unk>"}),
    "PegasusTokenizer": Recipe(
        unigrams.pegasus,
        "A eos",
        "A B eos",
        {**T5, "mask": "<mask_2>"},
        extra=unigrams.pegasus_unused,
    ),
    "RobertaTokenizer": Recipe(_byte_pairs, "cls A sep", "cls A sep sep B sep", FAIRSEQ, trims=True),
    "T5Tokenizer": Recipe(unigrams.t5, "A eos", "A eos B eos", T5, extra=unigrams.t5_sentinels),
    "TransfoXLTokenizer": Recipe(_words, "A", "A B", {"unk": "<unk>", "eos": "<eos>"}),
    "XLMRobertaTokenizer": Recipe(unigrams.xlm_roberta, "cls A sep", "cls A sep sep B sep", FAIRSEQ),
    "XLNetTokenizer": Recipe(
        unigrams.xlnet,
        "A sep cls:2",
        "A sep B:1 sep:1 cls:2",
        {**FAIRSEQ, "sep": "<sep>", "cls": "<cls>"},
        strips=True,
    ),
}
