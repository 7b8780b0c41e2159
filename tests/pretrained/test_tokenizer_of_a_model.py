"""A folder's model and its tokenizer go together: read, checked against each other, and written."""

import pathlib
import shutil

import pytest

from t2t import pretrained
from t2t.errors import DataError

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox", "##es"]


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN / "bert", tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return tmp_path / "theirs"


def test_the_tokenizer_comes_with_the_model_and_goes_with_it(folder, tmp_path):
    model = pretrained.load(folder)
    encoded = model.vocabulary.encode_for_model("the foxes", "The fox")
    assert encoded.ids == [2, 5, 6, 7, 3, 5, 6, 3]
    assert model(input_ids=[encoded.ids], token_type_ids=[encoded.types]).logits.shape == (
        1,
        8,
        model.config.vocab_size,
    )
    pretrained.save(model, tmp_path / "ours")
    assert (tmp_path / "ours" / "vocab.txt").read_bytes() == (folder / "vocab.txt").read_bytes()
    again = pretrained.load(tmp_path / "ours").vocabulary
    assert again.fingerprint() == model.vocabulary.fingerprint()


def test_a_tokenizer_of_another_model_is_refused(folder):
    rows = pretrained.load(folder).config.vocab_size
    (folder / "vocab.txt").write_text("\n".join([*WORDS, *(f"word{i}" for i in range(rows))]) + "\n")
    with pytest.raises(DataError, match=rf"has {rows + len(WORDS)} ids, and the model's table {rows} rows"):
        _ = pretrained.load(folder).vocabulary
