"""The ids of every family's tokenizer files are those of `transformers`: on strings that are hard, in pairs, with
types, offsets, special tokens, and back into text.

The golden folders are small ones that were trained on a little text, with what `transformers` gave for them. Where it
is installed they are made again, what it saves is read, and real files are compared on real text in five languages.
"""

import functools
import gzip
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tokenizer_cases
import tokenizer_peer
from tokenizer_cases import CASES, HARD, PAIRS

from t2t.data.vocabulary import FolderVocabulary, from_folder
from t2t.errors import DataError

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizers"


def found_in(vocabulary: FolderVocabulary, fast: bool) -> dict:
    """What `tokenizer_peer.results` gives, of ours."""
    named = {name: vocabulary.special_ids.get(name) for name in tokenizer_peer.NAMES}
    single = []
    for text in HARD:
        encoded, plain = vocabulary.encode_for_model(text), vocabulary.encode(text)
        decoded = vocabulary.decode(i for i in plain if i not in (named["eos"], named["sep"]))
        about = (encoded.types, [list(span) for span in encoded.offsets]) if fast else (None, None)
        single.append([encoded.ids, *about, decoded])
    pairs = [vocabulary.encode_for_model(*pair) for pair in PAIRS]
    return {
        "special": named,
        "single": single,
        "target": None if fast else [vocabulary.sequence(text, target=True) for text in HARD],
        "pair": [[encoded.ids, encoded.types if fast else None] for encoded in pairs],
    }


def assert_same(found: dict, expected: dict) -> None:
    for key in ("special", "pair", "target"):
        assert found[key] == expected[key]
    for text, ours, theirs in zip(HARD, found["single"], expected["single"]):
        assert ours == theirs, repr(text[:60])


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    expected = json.loads((GOLDEN / case / "results.json").read_text(encoding="utf-8"))
    vocabulary = from_folder(GOLDEN / case, rows=1_114_112)
    assert vocabulary.size == expected.pop("size") or case == "marian_separate"  # they count the source's alone
    found = found_in(vocabulary, fast=expected["pair"][0][1] is not None)
    target = found["target"] or [None] * len(HARD)
    assert found["special"] == expected["special"]
    assert found["pair"] == expected["pair"]
    for text, one, to, (ids, digest) in zip(HARD, found["single"], target, expected["single"]):
        assert ids is None or one[0] == ids, repr(text[:60])
        assert tokenizer_peer.digest([one, to]) == digest, repr(text[:60])


@pytest.mark.pytorch
@pytest.mark.parametrize("case", CASES)
def test_live(case, tmp_path):
    tokenizer_cases.write(case, tmp_path)
    expected = tokenizer_peer.results(tmp_path)
    fast = expected["target"] is None
    assert_same(found_in(from_folder(tmp_path), fast), expected)
    tokenizer_peer.load(tmp_path).save_pretrained(tmp_path / "saved")  # as transformers 5 writes it
    assert_same(found_in(from_folder(tmp_path / "saved"), fast), expected)


@pytest.mark.parametrize("case", CASES)
def test_unpaired_surrogates_are_refused(case):
    vocabulary = from_folder(GOLDEN / case)
    for text in ("a\ud800b", "\udfff"):
        for encode in (vocabulary.encode, vocabulary.encode_for_model, vocabulary.encode_target):
            with pytest.raises(DataError, match="unpaired surrogate at character"):
                encode(text)


REAL = {  # case: (files as folders name them: in the real data, model_type, settings)
    "bert": ({"vocab.txt": "bert_uncased_vocab.txt"}, "bert", {}),
    "bert_cased": ({"vocab.txt": "bert_uncased_vocab.txt"}, "electra", {"do_lower_case": False}),
    "gpt2": ({"vocab.json": "gpt2_encoder.json", "merges.txt": "gpt2_vocab.bpe"}, "gpt2", {}),
    "roberta": ({"vocab.json": "gpt2_encoder.json", "merges.txt": "gpt2_vocab.bpe"}, "roberta", {}),
    "t5": ({"spiece.model": "t5_32k.model"}, "t5", {}),
    "albert": ({"spiece.model": "albert_recipe_30k.model"}, "albert", {}),
    "xlm_roberta": ({"sentencepiece.bpe.model": "spm_test_en.model"}, "xlm-roberta", {}),
    "pegasus": ({"spiece.model": "t5_32k.model"}, "pegasus", {}),
    "deberta_v2": ({"spm.model": "albert_recipe_30k.model"}, "deberta-v2", {"vocab_type": "spm"}),
}


@pytest.mark.pytorch
@pytest.mark.parametrize("case", REAL)
def test_real_files_on_real_text(case, shared_data, tmp_path):
    files, model_type, settings = REAL[case]
    for name, real in files.items():
        (tmp_path / name).write_bytes((shared_data / "tokenizers" / real).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    if settings:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs, ours = tokenizer_peer.load(tmp_path), from_folder(tmp_path)
    assert ours.size == len(theirs)
    for text in (*HARD, *_xquad(shared_data)):
        expected, found = theirs(text, return_offsets_mapping=True), ours.encode_for_model(text)
        assert found.ids == expected["input_ids"], text[:60]
        assert found.offsets == expected["offset_mapping"], text[:60]


@functools.cache
def _xquad(shared_data) -> list[str]:
    texts = []
    for path in sorted((shared_data / "xquad").glob("*.json.gz")):
        for article in json.loads(gzip.decompress(path.read_bytes()))["data"][:3]:
            for paragraph in article["paragraphs"]:
                texts += [paragraph["context"], *(question["question"] for question in paragraph["qas"])]
    return texts
