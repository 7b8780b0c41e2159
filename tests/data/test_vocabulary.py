"""Vocabularies: ByT5's and T5's layouts, sentinels, round trips, and what is said of files that do not fit."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.data import ByteVocabulary, SentencePieceVocabulary, train_sentencepiece
from t2t.data.vocabulary import from_name, load, trained_size
from t2t.errors import DataError

TEXTS = ["walk left twice and jump", "jump around left", "look right thrice after run", "ein großer Hund läuft"] * 30
OTHER = [text.replace("walk", "march") for text in TEXTS]


@pytest.fixture(scope="module")
def trained():
    return train_sentencepiece(TEXTS, 330)


def test_bytes_have_byt5s_layout():
    vocabulary = ByteVocabulary()
    assert vocabulary.encode("hé") == [107, 198, 172]
    assert (vocabulary.size, vocabulary.eos_id, vocabulary.unk_id) == (384, 1, 2)
    assert [vocabulary.sentinel(i) for i in (0, 1, 99)] == [258, 257, 159]
    assert vocabulary.decode([107, 198, 172, 1, 107]) == "hé"  # up to the end of sequence
    assert vocabulary.decode([0, 107, 0, 108]) == "hi"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_round_trip(text):
    assert ByteVocabulary().decode(ByteVocabulary().encode(text)) == text


def test_pixels_are_characters_of_their_own(tmp_path):
    vocabulary = from_name("pixels")
    text = bytes(range(256)).decode("latin-1")
    assert vocabulary.encode(text) == list(range(3, 259))
    assert vocabulary.decode(vocabulary.encode(text)) == text
    vocabulary.save(tmp_path)
    assert load(tmp_path).fingerprint() == vocabulary.fingerprint() != ByteVocabulary().fingerprint()
    with pytest.raises(DataError, match="characters 0 to 255, found '€' at character 1: use 'bytes'"):
        vocabulary.encode("1€")


def test_words_are_what_stands_between_spaces(tmp_path):
    vocabulary = train_sentencepiece(["the cat sat", "the dog sat"] * 3, 100, model_type="word")
    the, cat, sat, end = (vocabulary.encode(word)[0] for word in ("the", "cat", "sat", "\n"))
    assert len({the, cat, sat, end, vocabulary.unk_id}) == 5
    assert vocabulary.encode("the cow sat") == [the, vocabulary.unk_id, sat]
    assert vocabulary.encode("the  cat\nthe sat \n") == [the, cat, end, the, sat, end]
    assert vocabulary.decode([the, sat, end]) == "the sat \n"
    vocabulary.save(tmp_path)
    assert load(tmp_path).encode("the cat\n") == [the, cat, end]
    assert trained_size("words:100") == 100


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁\x00\ufffd"), max_size=40))
def test_a_trained_vocabulary_loses_nothing(text):
    vocabulary = _shared()
    assert vocabulary.decode(vocabulary.encode(text)) == text


_SHARED = []


def _shared():
    if not _SHARED:
        _SHARED.append(train_sentencepiece(TEXTS, 330))
    return _SHARED[0]


def test_training_is_deterministic_and_ids_are_t5s(trained):
    again = train_sentencepiece(TEXTS, 330)
    assert again.fingerprint() == trained.fingerprint()
    assert train_sentencepiece(OTHER, 330).fingerprint() != trained.fingerprint()
    assert (trained.eos_id, trained.unk_id, trained.size - trained.pieces) == (1, 2, 100)
    assert trained.sentinel(0) == trained.size - 1
    assert trained.sentinel(99) == trained.pieces
    ids = [trained.sentinel(0), *trained.encode("jump"), trained.sentinel(1)]
    assert trained.decode(ids) == "<extra_id_0> jump <extra_id_1>"


def test_t5s_own_model(shared_data):
    vocabulary = SentencePieceVocabulary(
        next((shared_data / "tokenizers").rglob("*trax*sentencepiece*.model"), None) or _t5_model(shared_data)
    )
    assert vocabulary.pieces == 32_000
    assert vocabulary.size == 32_100
    assert vocabulary.sentinel(0) == 32_099
    assert vocabulary.encode("That is good.") == [466, 19, 207, 5]  # as published with T5's examples


def _t5_model(shared_data):
    import sentencepiece

    for path in (shared_data / "tokenizers").rglob("*.model"):
        if sentencepiece.SentencePieceProcessor(model_file=str(path)).get_piece_size() == 32_000:
            return path
    return pytest.skip("T5's SentencePiece model is not among the tokenizers")


@pytest.mark.parametrize("text", ["jump  around größer 😀 left", "", " "])
def test_offsets_and_frames_of_vocabularies_made_here(trained, text):
    for vocabulary in (trained, ByteVocabulary()):
        encoded = vocabulary.encode_for_model(text, "left")
        ids, end = vocabulary.encode(text), vocabulary.eos_id
        assert encoded.ids == [*ids, end, *vocabulary.encode("left"), end]
        assert encoded.texts[: len(ids) + 1] == [0] * len(ids) + [-1]
        spans = encoded.offsets[: len(ids)]
        assert {i for a, b in spans for i in range(a, b)} == set(range(len(text)))
        assert list(vocabulary.sequence(text)) == [*ids, end]
        with pytest.raises(DataError, match="unpaired surrogate at character 1"):
            vocabulary.encode("a\ud800")


def test_saved_and_loaded_and_sent_to_workers(trained, tmp_path):
    for vocabulary in (trained, ByteVocabulary()):
        folder = tmp_path / vocabulary.spec()["name"]
        vocabulary.save(folder)
        for other in (load(folder), pickle.loads(pickle.dumps(vocabulary)), from_name(str(folder))):
            assert other.fingerprint() == vocabulary.fingerprint()
            assert other.encode("jump left") == vocabulary.encode("jump left")
    model = tmp_path / "sentencepiece" / "sentencepiece.model"
    model.write_bytes(train_sentencepiece(OTHER, 330).model)
    with pytest.raises(DataError, match="is not the model that vocabulary.json was saved with"):
        load(tmp_path / "sentencepiece")


def test_mistakes_are_named(trained, tmp_path):
    with pytest.raises(DataError, match="needs sentinel 100, and the vocabulary has 100"):
        trained.sentinel(100)
    with pytest.raises(DataError, match="unpaired surrogate"):
        ByteVocabulary().encode("a\ud800")
    with pytest.raises(DataError, match="Unknown vocabulary 'byte'"):
        from_name("byte")
    with pytest.raises(DataError, match="no SentencePiece model at"):
        from_name("nowhere.model")
    (tmp_path / "x.model").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="no SentencePiece model"):
        from_name(str(tmp_path / "x.model"))
    with pytest.raises(DataError, match="There is no vocabulary in"):
        load(tmp_path)
    with pytest.raises(DataError, match="could not learn 20 pieces"):
        train_sentencepiece(TEXTS, 20)
    assert trained_size("bpe:300") == 300
    assert from_name("sentencepiece:300") is None
