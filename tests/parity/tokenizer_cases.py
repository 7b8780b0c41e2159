"""Small tokenizer folders of every family, made here: the files that their folders have, trained on a little text; and
the strings by which their ids are compared."""

import io
import json
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and doesn't look back.",
    "Transformers learn 1,234 tasks from 56.78 % of the text; isn't that good?",
    "translate English to German: That is good. Das ist gut, größer und schöner.",
    "Où est la bibliothèque ? Là-bas, près du café. Ça coûte 12 €.",
    "El niño comió piñas en la montaña; ¿verdad?",
    "Москва — столица России, а Киев — Украины.",
    "अनुच्छेद में हिन्दी पाठ है। नमस्ते दुनिया।",
    "東京は日本の首都です。我爱北京天安门。",
    "안녕하세요 세계",
    "مرحبا بالعالم، كيف حالك؟",
    "e\u0301 e\u0300 o\u0308 n\u0303 and é è ö ñ; ﬁne ﬀort ½ ① Ａ",
    "emoji 😀 👩‍👩‍👧‍👦 👍🏽 and (brackets) [square] {curly} <angle> \"quoted\" 'single' ``latex''",
) * 3
HARD = (
    "",
    " ",
    "a",
    "Hello, world!",
    "The quick brown fox doesn't jump.",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00dcBER stra\u00dfe",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m n\u0303",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 😀😀",
    "东京は日本の首都です。",
    "नमस्ते दुनिया क्षत्रिय",
    "مرحبا بالعالم",
    "안녕 \u1100\u1161\u11a8",
    "a  b   c    d",
    "   leading and trailing   ",
    "tab\there\nnew line\r\ncarriage\x0bvertical\x0cfeed",
    "control \x00\x01\x07\x1b\x7f\x85\x9f end",
    "zero\u200bwidth\u200djoin\ufeffbom\u00adsoft\u2028line\u2029par",
    "nbsp\u00a0thin\u2009ideo\u3000space",
    "\ufffd \ufffe \U0010ffff \ue000\ue003",
    "ﬁ ﬀ ½ ① Ａ ｶﾞ ²",
    "``quoted'' don't I'm we've they're",
    "x" * 120 + " " + "ab" * 300,
    "word " * 400,
    "1,234,567.89 and 3.14, 5,",
    "▁ metaspace ▁▁ and ## hashes ##ing </w>",
    "text of [CLS] and [SEP] [MASK] [PAD] [UNK]",
    "text of <s> and </s><mask> <pad> <unk> <cls> <sep>",
    "<extra_id_0> x <extra_id_1>y<extra_id_99>",
    "ends in </s>",
    "fill the <mask> or  [MASK] \t\ue003 here",
    "a<|endoftext|>b <eos> <mask_1> <unk_5>",
    "en_XX de_DE ro_RO >>fr<< x",
    ">>de<< The quick fox",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 İstanbul ǅ ſ K",
    "Z̷̡̢a̴l̶g̵o̷ text",
    "🏳️‍🌈 ⚕️ 1️⃣",
)
PAIRS = (("a question", "its context"), ("", "only the second"), ("ends in </s>", "b </s>"))

Files = dict[str, bytes]


# What the models here do to characters first: a few lines of the tables of real ones, which are large.
RULES = {
    "\u00a0": " ", "\u3000": " ", "\u2009": " ", "\t": " ", "\n": " ", "\r": " ", "\u0085": " ", "\u200b": " ",
    "\x07": "", "\x1b": "", "\x7f": "", "\ufeff": "", "\u00ad": "", "\ufb01": "fi", "\uff21": "A", "½": "1⁄2",
    "①": "1", "e\u0301": "é", "i\u0308": "ï", "²": "2", "\U0001d518": "U",
}  # fmt: skip


def _spm(size: int = 320, **how: Any) -> bytes:
    import sentencepiece

    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.tsv"
        codes = [(" ".join(f"{ord(c):X}" for c in side) for side in rule) for rule in RULES.items()]
        rules.write_text("".join("\t".join(rule) + "\n" for rule in codes), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=out, vocab_size=size, hard_vocab_limit=False, num_threads=1,
            minloglevel=2, character_coverage=0.99, normalization_rule_tsv=str(rules), **how,
        )  # fmt: skip
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value) + "\n").encode()


def _folder(model_type: str, files: Files, /, **settings: Any) -> Files:
    """A folder of a family, with a tokenizer_config.json where there are settings for it."""
    config = {"config.json": _json({"model_type": model_type})}
    return {**config, **({"tokenizer_config.json": _json(settings)} if settings else {}), **files}


def _word_pieces(lower: bool) -> bytes:
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=lower, strip_accents=None)
    trained.train_from_iterator(TEXTS, vocab_size=400, min_frequency=1, show_progress=False)
    words = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    return "".join(f"{word}\n" for word, _ in words).encode()


def _pairs(first: list[str], last: list[str], whole_words: bool = False) -> Files:
    from tokenizers import ByteLevelBPETokenizer, CharBPETokenizer

    kind = CharBPETokenizer(lowercase=True, suffix="</w>") if whole_words else ByteLevelBPETokenizer()
    kind.train_from_iterator(TEXTS, vocab_size=450, min_frequency=1, show_progress=False, special_tokens=first)
    model = json.loads(kind.to_str())["model"]
    vocabulary = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    vocabulary |= {token: len(vocabulary) + i for i, token in enumerate(last)}
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    return {"vocab.json": _json(vocabulary), "merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode()}


def _marian(separate: bool) -> Files:
    import sentencepiece

    models = [_spm(300), _spm(280, model_type="bpe")]
    processors = [sentencepiece.SentencePieceProcessor(model_proto=model) for model in models]
    pieces = [[p.id_to_piece(i) for i in range(3, p.get_piece_size())] for p in processors]

    def ids(*of: list[str]) -> bytes:
        words = ["</s>", "<unk>", ">>fr<<", ">>de<<", *dict.fromkeys(piece for words in of for piece in words), "<pad>"]
        return _json({word: i for i, word in enumerate(words)})

    tables = {"vocab.json": ids(*pieces)}
    if separate:
        tables = {"vocab.json": ids(pieces[0]), "target_vocab.json": ids(pieces[1])}
    files = {"source.spm": models[0], "target.spm": models[1], **tables}
    return _folder("marian", files, tokenizer_class="MarianTokenizer", separate_vocabs=separate)


def _own_json() -> Files:
    """A tokenizer.json that no family has: words, between marks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.NFC(), pre_tokenizers.Whitespace()
    marks = ["[UNK]", "<go>", "<end>"]
    made.train_from_iterator(TEXTS, trainers.WordLevelTrainer(vocab_size=200, special_tokens=marks))
    made.post_processor = processors.TemplateProcessing(
        single="<go> $A <end>", pair="<go> $A <end> $B:1 <end>:1", special_tokens=[("<go>", 1), ("<end>", 2)]
    )
    return _folder(
        "gpt2",
        {"tokenizer.json": made.to_str().encode()},
        **{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "unk_token": "[UNK]"},
        pad_token="[PAD]",
    )


FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
XLNET = {"unk_id": 0, "control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]}
BIG_BIRD = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
DEBERTA = {
    **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
    **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
}


def _bert(lower: bool = True, /, **settings: Any) -> Files:
    return _folder("bert", {"vocab.txt": _word_pieces(lower)}, **settings)


def _gpt2(**settings: Any) -> Files:
    return _folder("gpt2", _pairs([], ["<|endoftext|>"]), **settings)


def _roberta(model_type: str, files: Files, **settings: Any) -> Files:
    return _folder(model_type, _pairs(FAIRSEQ, ["<mask>"]) | files, **settings)


def _spiece(model_type: str, how: Mapping[str, Any], /, name: str = "spiece.model", **settings: Any) -> Files:
    return _folder(model_type, {name: _spm(**how)}, **settings)


def _bpe_model(model_type: str, **settings: Any) -> Files:
    return _spiece(model_type, {}, name="sentencepiece.bpe.model", **settings)


CASES: Mapping[str, Callable[[], Files]] = {
    "bert": _bert,
    "bert_cased": lambda: _bert(False, do_lower_case=False),
    "bert_accents": lambda: _bert(
        tokenizer_class="ElectraTokenizer", strip_accents=False, tokenize_chinese_chars=False
    ),
    "gpt2": _gpt2,
    "gpt2_prefix": lambda: _gpt2(add_prefix_space=True, pad_token="<|endoftext|>"),
    "roberta": lambda: _roberta("roberta", {}),
    "bart_prefix": lambda: _roberta(
        "bart", {"special_tokens_map.json": _json({"mask_token": MASK})}, add_prefix_space=True
    ),
    "longformer_added": lambda: _roberta("longformer", {"added_tokens.json": _json({"<new>": 451})}),
    "deberta": lambda: _folder("deberta", _pairs(["[PAD]", "[CLS]", "[SEP]", "[UNK]"], ["[MASK]"])),
    "gpt": lambda: _folder("openai-gpt", _pairs(["<unk>"], [], whole_words=True)),
    "t5": lambda: _spiece("t5", T5),
    "mt5_ten": lambda: _spiece(
        "mt5", T5, extra_ids=10, additional_special_tokens=[f"<extra_id_{i}>" for i in range(10)]
    ),
    "albert": lambda: _spiece("albert", ALBERT),
    "albert_cased": lambda: _spiece("albert", ALBERT, do_lower_case=False, keep_accents=True),
    "xlnet": lambda: _spiece("xlnet", XLNET),
    "xlm_roberta": lambda: _bpe_model("xlm-roberta"),
    "mbart": lambda: _bpe_model("mbart"),
    "mbart_german": lambda: _bpe_model("mbart", tokenizer_class="MBartTokenizer", src_lang="de_DE"),
    "mbart50": lambda: _bpe_model("mbart", tokenizer_class="MBart50Tokenizer", src_lang="fr_XX"),
    "pegasus": lambda: _spiece("pegasus", T5),
    "big_bird": lambda: _spiece("big_bird", BIG_BIRD),
    "deberta_v2": lambda: _spiece("deberta-v2", DEBERTA, name="spm.model"),
    "deberta_v3": lambda: _spiece("deberta-v2", DEBERTA, name="spm.model", do_lower_case=True, split_by_punct=True),
    "byt5": lambda: _folder("t5", {}, tokenizer_class="ByT5Tokenizer"),
    "canine": lambda: _folder("canine", {}, tokenizer_class="CanineTokenizer"),
    "marian": lambda: _marian(False),
    "marian_separate": lambda: _marian(True),
    "own": _own_json,
}


def write(case: str, folder: pathlib.Path) -> None:
    """Writes the files of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CASES[case]().items():
        (folder / name).write_bytes(content)
