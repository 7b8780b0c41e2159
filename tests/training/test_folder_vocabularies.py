"""Runs whose vocabulary is a published tokenizer: any task trains with it, and the run keeps it."""

import dataclasses
import pathlib

import pytest
from runs import run_config

from t2t.data.vocabulary import from_folder, load
from t2t.errors import DataError
from t2t.inference import TextModel
from t2t.training import train
from t2t.training.workdir import resolve_vocabulary

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizers"


@pytest.mark.parametrize("case", ["xlm_roberta", "marian_separate"])
def test_a_run_keeps_the_tokenizer_it_was_given(case, tmp_path):
    config = run_config(tmp_path, {"vocabulary": f"folder:{GOLDEN / case}", "targets_length": 16}, steps=2)
    train(config, tmp_path / "run")
    theirs = from_folder(GOLDEN / case)
    assert load(tmp_path / "run" / "vocabulary").fingerprint() == theirs.fingerprint()
    model = TextModel.load(tmp_path / "run")
    assert model.vocabulary.encode_for_model("abc") == theirs.encode_for_model("abc")
    assert len(model.generate(["abc", "de"])) == 2
    assert all(score < 0 for score in model.score(["abc"], ["cba"]))


def test_a_run_may_start_with_a_public_folders_tokenizer(tmp_path):
    config = dataclasses.replace(run_config(tmp_path), init_from=str(GOLDEN / "bert"))
    found = resolve_vocabulary(tmp_path / "run", config, [], lambda text: None)
    assert found.fingerprint() == from_folder(GOLDEN / "bert").fingerprint()
    missing = dataclasses.replace(config, init_from=str(tmp_path))
    with pytest.raises(DataError, match="has no tokenizer files"):
        resolve_vocabulary(tmp_path / "other", missing, [], lambda text: None)
