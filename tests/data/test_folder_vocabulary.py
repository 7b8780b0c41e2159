"""Tokenizer folders as vocabularies: kept with a run, cut into windows, and what is said of folders that do not do."""

import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from t2t.data.vocabulary import Tokens, from_folder, from_name, load
from t2t.errors import DataError
from t2t.tasks.objective import Objective, tokenise

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizers"
CASES = sorted(path.name for path in GOLDEN.iterdir())


def of(case):
    return from_folder(GOLDEN / case)


@pytest.fixture
def copied(tmp_path):
    """case → a copy of its folder, to be damaged."""

    def copy(case):
        return pathlib.Path(shutil.copytree(GOLDEN / case, tmp_path / case))

    return copy


@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded_and_sent_to_workers(case, tmp_path):
    vocabulary = of(case)
    vocabulary.save(tmp_path)
    text = "The quick brown fox, <mask> </s> 😀"
    for other in (load(tmp_path), from_name(str(tmp_path)), pickle.loads(pickle.dumps(vocabulary))):
        assert other.fingerprint() == vocabulary.fingerprint()
        assert other.encode_for_model(text, text) == vocabulary.encode_for_model(text, text)
        assert other.decode(other.encode(text)) == vocabulary.decode(vocabulary.encode(text))
        assert other.special_ids == vocabulary.special_ids
    assert from_name(f"folder:{GOLDEN / case}").fingerprint() == vocabulary.fingerprint()
    for name, content in vocabulary.source.files.items():
        assert (tmp_path / name).read_bytes() == content == (GOLDEN / case / name).read_bytes()


def test_fingerprints_tell_folders_apart():
    assert len({of(case).fingerprint() for case in CASES}) == len(CASES)


def test_canines_mask_takes_the_space_before_it_where_the_folder_says_so(copied):
    folder, text = copied("canine"), "a \ue003 b"
    assert of("canine").encode(text) == [97, 32, 0xE003, 32, 98]
    mask = {"57347": {"content": "\ue003", "lstrip": True, "rstrip": False, "special": True}}
    settings = {"tokenizer_class": "CanineTokenizer", "added_tokens_decoder": mask}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    found = from_folder(folder).tokens(text)
    assert (found.ids, found.offsets) == ([97, 0xE003, 32, 98], [(0, 1), (2, 3), (3, 4), (4, 5)])


def test_files_that_changed_are_noticed(tmp_path):
    of("bert").save(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    with pytest.raises(DataError, match=r"vocab.txt is not the file that vocabulary.json was saved with"):
        load(tmp_path)


@pytest.mark.parametrize("case", ["bert", "roberta", "t5", "xlnet", "byt5", "canine", "marian"])
def test_offsets_point_at_the_words(case):
    vocabulary, text = of(case), "The quick brown fox, größer"
    tokens = vocabulary.tokens(text)
    assert len(tokens.ids) == len(tokens.offsets)
    start = text.index("fox")
    within = [(a, b) for a, b in tokens.offsets if a < start + 3 and b > start]
    assert text[min(a for a, _ in within) : max(b for _, b in within)].strip() == "fox"
    assert max(b for _, b in tokens.offsets) == len(text)


def test_a_window_of_a_long_text_is_a_slice():
    vocabulary = of("roberta")
    question, context = vocabulary.tokens("Who jumps?"), vocabulary.tokens("The quick brown fox jumps. " * 20)
    window = context[50:80]
    assert isinstance(window, Tokens)
    joined = vocabulary.join(question, window)
    assert len(joined) == len(question) + 30 + vocabulary.frame.added(pair=True)
    inside = [i for i, text in enumerate(joined.texts) if text == 1]
    assert [joined.ids[i] for i in inside] == list(window.ids)
    assert [joined.offsets[i] for i in inside] == list(window.offsets)
    special = [i for i, text in zip(joined.ids, joined.texts) if text == -1]
    assert special == [vocabulary.cls_id, *[vocabulary.sep_id] * 3]
    assert vocabulary.frame.added(pair=False) == 2


def test_examples_are_in_the_familys_frame():
    def framed(case, text="a fox"):
        vocabulary = of(case)
        ids = vocabulary.encode(text)
        found = tokenise({"inputs": text, "targets": text}, vocabulary)
        assert found["inputs"].dtype == np.int32
        start = next(i for i in range(len(found["inputs"])) if list(found["inputs"][i : i + len(ids)]) == ids)
        return vocabulary, list(found["inputs"][:start]), list(found["inputs"][start + len(ids) :]), found["targets"]

    vocabulary, before, after, targets = framed("bert")
    assert (before, after) == ([vocabulary.cls_id], [vocabulary.sep_id])
    vocabulary, before, after, _ = framed("bart_prefix")
    assert (before, after) == ([vocabulary.bos_id], [vocabulary.eos_id])
    vocabulary, before, after, _ = framed("t5")
    assert (before, after) == ([], [vocabulary.eos_id])
    vocabulary, before, after, _ = framed("gpt2")  # whose frame is empty: an end is put, so that answers end
    assert (before, after) == ([], [vocabulary.eos_id])
    vocabulary, before, after, _ = framed("mbart_german")
    assert (before, after) == ([], [vocabulary.eos_id, vocabulary.id_of("de_DE")])
    vocabulary, before, after, targets = framed("marian_separate")
    assert after == [vocabulary.eos_id]
    assert list(targets) == [*vocabulary.encode_target("a fox"), vocabulary.eos_id]
    assert vocabulary.encode_target("a fox") != vocabulary.encode("a fox")
    assert vocabulary.decode(targets) == "a fox"
    assert list(tokenise({"inputs": "", "targets": "a"}, vocabulary)["inputs"]) == []


def test_masked_language_models_use_the_familys_mask():
    for case in ("bert", "roberta", "xlnet", "canine"):
        vocabulary = of(case)
        tokens = np.asarray(vocabulary.encode("The quick brown fox jumps over the lazy dog. " * 20), np.int32)
        found = Objective(kind="masked_lm").apply(tokens, np.random.default_rng(0), vocabulary, len(tokens))
        hidden = found["inputs"][found["loss_weights"] > 0]
        assert 0.7 < (hidden == vocabulary.mask_id).mean() < 0.9
        assert (found["inputs"] < vocabulary.size).all()


def test_sentinels_are_the_folders():
    vocabulary = of("mt5_ten")
    assert vocabulary.sentinels == 10
    assert [vocabulary.sentinel(i) for i in range(10)] == [vocabulary.size - 1 - i for i in range(10)]
    assert vocabulary.encode("<extra_id_3>")[-1] == vocabulary.sentinel(3)
    assert of("t5").sentinels == 100
    assert of("byt5").sentinel(0) == 258  # ByT5's are its last bytes
    with pytest.raises(DataError, match="needs sentinel 10, and the vocabulary has 10"):
        vocabulary.sentinel(10)
    with pytest.raises(DataError, match="needs sentinel 0, and the vocabulary has 0"):
        of("bert").sentinel(0)


def test_a_language_is_chosen():
    vocabulary = of("mbart")
    german = vocabulary.in_language("de_DE")
    end = [vocabulary.eos_id, vocabulary.id_of("de_DE")]
    assert german.encode_for_model("ein Fuchs").ids == vocabulary.encode("ein Fuchs") + end
    assert vocabulary.encode_for_model("a fox").ids[-1] == vocabulary.id_of("en_XX")
    assert pickle.loads(pickle.dumps(german)).encode_for_model("ein Fuchs") == german.encode_for_model("ein Fuchs")
    french = of("mbart50").in_language("ro_RO").encode_for_model("x").ids
    assert french[0] == of("mbart50").id_of("ro_RO")
    with pytest.raises(DataError, match="knows no language 'xx_XX'"):
        vocabulary.in_language("xx_XX")
    with pytest.raises(DataError, match="a BertTokenizer, knows no language 'de_DE'"):
        of("bert").in_language("de_DE")


def test_decoding_ends_at_the_end_and_keeps_a_zero_that_is_a_word():
    vocabulary = of("gpt2")
    assert vocabulary.pad_id is None
    zero = vocabulary.decode([0, vocabulary.eos_id, 5])
    assert zero == "!"
    bert = of("bert")
    assert bert.decode([bert.cls_id, *bert.encode("the fox"), bert.sep_id, 7]) == "the fox"


def test_spaces_are_cleaned_where_the_folder_says_so(copied):
    folder, ids = copied("own"), of("own").encode("lazy dog, and look.")
    assert of("own").decode(ids) == "lazy dog , and look ."
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"clean_up_tokenization_spaces": True}))
    assert from_folder(folder).decode(ids) == "lazy dog, and look."


def test_a_line_of_transformer_xl_is_words(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "transfo-xl"}')
    (tmp_path / "vocab.txt").write_text("<eos>\nthe\n,\n<unk>\nfox\n")
    vocabulary = from_folder(tmp_path)
    assert vocabulary.encode("the fox  , the cat\n") == [1, 4, 2, 1, 3, 0]
    assert (vocabulary.eos_id, vocabulary.unk_id, vocabulary.size) == (0, 3, 5)
    assert vocabulary.decode([1, 4, 2]) == "the fox ,"
    (tmp_path / "vocab.txt").rename(tmp_path / "vocab.pkl")
    with pytest.raises(DataError, match=r"vocab.pkl is a pickle, which could run anything and is not opened"):
        from_folder(tmp_path)


def test_what_tokenizer_config_says_goes_before_tokenizer_json(copied):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder = copied("bert")
    made = Tokenizer(models.WordPiece({"[UNK]": 0, "Fox": 1, "fox": 2, "[CLS]": 3, "[SEP]": 4}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.save(str(folder / "tokenizer.json"))
    assert from_folder(folder).encode("Fox [CLS]") == [2, 3]
    assert from_folder(folder).encode_for_model("Fox", "fox").ids == [3, 2, 4, 2, 4]  # a BertTokenizer's frame
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "eos_token": "<new>"}')
    vocabulary = from_folder(folder)
    assert vocabulary.encode("Fox <new>") == [1, vocabulary.eos_id]
    assert vocabulary.eos_id == vocabulary.size - 3  # before [PAD] and [MASK], which a BertTokenizer has as well


def damaged(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("case", "damage", "message"),
    [
        ("bert", lambda f: (f / "vocab.txt").unlink(), r"no vocab.txt in .*, which a BertTokenizer is made of: found"),
        ("gpt2", lambda f: (f / "merges.txt").unlink(), r"no merges.txt in .*GPT2Tokenizer"),
        ("t5", lambda f: (f / "spiece.model").unlink(), r"no spiece.model in .*Put it there, or a tokenizer.json"),
        ("marian", lambda f: (f / "target.spm").unlink(), r"no target.spm in"),
        ("own", damaged("tokenizer.json", b'{"model": 3'), r"tokenizer.json is damaged \(.*restore the file"),
        ("own", damaged("tokenizer.json", b"\xff"), r"tokenizer.json is damaged"),
        ("t5", damaged("spiece.model", b"nonsense"), r"spiece.model is no SentencePiece model: b'nonsense'"),
        ("marian", damaged("source.spm", b"nonsense"), r"This is no SentencePiece model"),
        ("gpt2", damaged("vocab.json", b"{"), r"vocab.json is not JSON"),
        ("gpt2", damaged("vocab.json", b"[1]"), r"vocab.json: expected a JSON object, found list"),
        ("gpt2", damaged("vocab.json", b'{"a": 0}'), r"do not fit each other: .*out of vocabulary"),
        ("gpt2", damaged("merges.txt", b"a b c\n"), r"merges.txt: expected two pieces a line, found 'a b c'"),
        ("marian", damaged("vocab.json", b'{"a": 0}'), r"vocab.json has no </s> and no <unk>"),
        ("bert", damaged("tokenizer_config.json", b"no"), r"tokenizer_config.json is not JSON"),
        (
            "bert",
            damaged("tokenizer_config.json", b'{"tokenizer_class": "BurtTokenizer"}'),
            r"Unknown tokenizer_class 'BurtTokenizer'.*BertTokenizer.*save_pretrained",
        ),
        ("t5", damaged("config.json", b"{}"), r"has spiece.model, and no tokenizer.json. Nothing says whose they are"),
        ("pegasus", lambda f: shutil.copy(GOLDEN / "deberta_v2/spm.model", f / "spiece.model"), r"has no piece <unk>"),
    ],
)  # fmt: skip
def test_bad_folders(copied, case, damage, message):
    folder = copied(case)
    damage(folder)
    with pytest.raises(DataError, match=message):
        from_folder(folder)


def test_no_folder_and_no_tokenizer(tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*nowhere"):
        from_name(f"folder:{tmp_path}/nowhere")
    with pytest.raises(DataError, match="has no tokenizer files, and no tokenizer.json"):
        from_folder(tmp_path)


def test_a_vocabulary_larger_than_the_models_table():
    size = of("bert").size
    assert from_folder(GOLDEN / "bert", rows=size).size == size
    with pytest.raises(DataError, match=rf"has {size} ids, and the model's table {size - 1} rows"):
        from_folder(GOLDEN / "bert", rows=size - 1)


def test_no_end_of_sequence_is_said_when_it_is_asked_for(tmp_path):
    content = json.loads((GOLDEN / "own" / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    vocabulary = from_folder(tmp_path)
    assert vocabulary.decode(vocabulary.encode("The fox")) == "The fox"
    with pytest.raises(DataError, match="names no end of sequence: put an eos_token"):
        _ = vocabulary.eos_id
