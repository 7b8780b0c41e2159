"""Families whose words are a SentencePiece model's: the order of ids that each gives its pieces, and what it does to
text before. As in `transformers` 5, where the model is a `tokenizers` Unigram."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from t2t.data.vocabularies.sentencepiece_files import Pieces
from t2t.data.vocabularies.source import Source, text_of
from t2t.errors import DataError

LANGUAGES = (  # of mBART, in the order of their ids
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX",
    "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN",
    "zh_CN",
)  # fmt: skip
LANGUAGES_50 = (  # of mBART-50
    *LANGUAGES,
    "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN", "mn_MN",
    "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA", "ur_PK",
    "xh_ZA", "gl_ES", "sl_SI",
)  # fmt: skip
SPACE = "▁"
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")  # the first ids of what was trained with fairseq
Scored = Sequence[tuple[str, float]]


def albert(source: Source) -> Tokenizer:
    """Lan et al. 2020: pieces as they are; quotes made plain, accents and capitals dropped."""
    pieces, settings = source.pieces(), source.settings
    before = _plain(accents=settings.get("keep_accents", False), lower=settings.get("do_lower_case", True))
    return _unigram(pieces.scored, 1, before + _table(pieces), prefix=settings.get("add_prefix_space", True))


def xlnet(source: Source) -> Tokenizer:
    """Yang et al. 2019: as ALBERT's, with capitals."""
    pieces = source.pieces()
    before = _plain(accents=False, lower=source.settings.get("do_lower_case", False))
    return _unigram(pieces.scored, pieces.unk_id, before + _table(pieces))


def t5(source: Source) -> Tokenizer:
    """Raffel et al. 2020: pieces, then the sentinels descending, <extra_id_0> the last."""
    pieces = source.pieces()
    scored = [*pieces.scored, *((token, 0.0) for token in reversed(t5_sentinels(source)))]
    return _unigram(scored, 2, _table(pieces))


def t5_sentinels(source: Source) -> list[str]:
    """<extra_id_0> and so on."""
    return [f"<extra_id_{i}>" for i in range(source.settings.get("extra_ids", 100))]


def xlm_roberta(source: Source) -> Tokenizer:
    """Conneau et al. 2020: fairseq's four first, so that the pieces are one later; the mask last."""
    pieces = source.pieces()
    scored = _fairseq(pieces, ["<mask>"])
    return _unigram(scored, 3, _table(pieces), prefix=source.settings.get("add_prefix_space", True))


def mbart(source: Source) -> Tokenizer:
    """Liu et al. 2020: as XLM-RoBERTa's, with the languages before the mask."""
    return _unigram(_fairseq(source.pieces(), [*LANGUAGES, "<mask>"]), 3, [])


def mbart50(source: Source) -> Tokenizer:
    """Tang et al. 2020: fifty languages."""
    pieces = source.pieces()
    before = [*_table(pieces), normalizers.Replace(Regex(" {2,}"), " ")]
    return _unigram(_fairseq(pieces, [*LANGUAGES_50, "<mask>"]), 3, before, words=False)


def pegasus(source: Source) -> Tokenizer:
    """Zhang et al. 2020: pad, end, the masks of sentences and of words, 101 ids for pre-training, then the pieces."""
    pieces, settings = source.pieces(), source.settings
    mask = text_of(settings.get("mask_token", "<mask_2>"))
    of_sentences, *unused = pegasus_unused(source)
    first = ["<pad>", "</s>", of_sentences, *([mask] if mask else [])]
    scored = [*((t, 0.0) for t in first), *((t, -100.0) for t in unused), *pieces.scored[2:]]
    before = [*(_table(pieces) or [normalizers.Replace(Regex("\n"), " ")]), normalizers.Replace(Regex(" {2,}"), " ")]
    return _unigram(scored, _index(scored, "<unk>", source), before, words=False)


def pegasus_unused(source: Source) -> list[str]:
    """The mask of sentences, and <unk_2> and so on, which only pre-training knows."""
    return ["<mask_1>", *(f"<unk_{i}>" for i in range(2, source.settings.get("offset", 103)))]


def big_bird(source: Source) -> Tokenizer:
    """Zaheer et al. 2020: pieces as they are."""
    scored = source.pieces().scored
    before = [normalizers.Replace(Regex(" {2,}"), SPACE)]
    prefix = source.settings.get("add_prefix_space", True)
    return _unigram(scored, _index(scored, "<unk>", source), before, words=False, prefix=prefix)


def deberta_v2(source: Source) -> Tokenizer:
    """He et al. 2021: pieces as they are; punctuation is apart where the folder says so."""
    pieces, settings = source.pieces(), source.settings
    lower = [normalizers.Lowercase()] if settings.get("do_lower_case", False) else []
    before = [
        *lower,
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        normalizers.NFC(),
        normalizers.Strip(left=False, right=True),
    ]
    unknown = [i for i, scored in enumerate(pieces.scored) if scored == ("[UNK]", 0.0)]
    tokenizer = _unigram(pieces.scored, unknown[0] if unknown else pieces.unk_id, before, words=False)
    scheme = "always" if settings.get("add_prefix_space", True) else "first"
    apart = [pre_tokenizers.Punctuation(behavior="isolated")] if settings.get("split_by_punct", False) else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*apart, pre_tokenizers.Metaspace(SPACE, scheme)])
    tokenizer.decoder = decoders.Metaspace(SPACE, scheme)
    return tokenizer


def _unigram(
    scored: Scored, unk_id: int, before: Sequence[Any], *, words: bool = True, prefix: bool = True
) -> Tokenizer:
    """A Unigram model behind normalisers; `words`: text is split at white space, of whatever kind and length."""
    tokenizer = Tokenizer(models.Unigram(list(scored), unk_id=unk_id, byte_fallback=False))
    if before:
        tokenizer.normalizer = normalizers.Sequence(list(before))
    scheme = "always" if prefix else "never"
    spaces = pre_tokenizers.Metaspace(SPACE, scheme)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces]) if words else spaces
    tokenizer.decoder = decoders.Metaspace(SPACE, scheme)
    return tokenizer


def _plain(*, accents: bool, lower: bool) -> list[Any]:
    quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    without = [] if accents else [normalizers.NFKD(), normalizers.StripAccents()]
    return quotes + without + ([normalizers.Lowercase()] if lower else [])


def _table(pieces: Pieces) -> list[Any]:
    return [normalizers.Precompiled(pieces.normalisation)] if pieces.normalisation else []


def _fairseq(pieces: Pieces, last: Sequence[str]) -> Scored:
    """fairseq's four in place of SentencePiece's three (<unk>, <s>, </s>), and what comes after the pieces."""
    return [*((t, 0.0) for t in FAIRSEQ), *pieces.scored[3:], *((t, 0.0) for t in last)]


def _index(scored: Scored, piece: str, source: Source) -> int:
    for i, (found, _) in enumerate(scored):
        if found == piece:
            return i
    raise DataError(f"The SentencePiece model in {source.where} has no piece {piece}: it is not a {source.kind}'s.")
