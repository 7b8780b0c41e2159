"""launch/convert.py on a run that launch/train.py made, and on the folder it wrote."""

import jax
import numpy as np
import pytest

import t2t
from t2t import folders
from t2t.data import vocabulary as vocabularies


@pytest.fixture(scope="module")
def exported(launch, trained, tmp_path_factory):
    target = tmp_path_factory.mktemp("exported") / "folder"
    done = launch("convert.py", f"--source={trained[0]}", f"--target={target}", "--family=t5")
    assert done.returncode == 0, done.stderr
    return target


def test_a_run_becomes_a_folder_with_its_tokenizer(trained, exported):
    run, found = t2t.load(trained[0]), folders.load(exported)
    jax.tree.map(np.testing.assert_array_equal, run.params, found.params)
    assert found.config.width == 16
    # Without these transformers' generate() would not stop.
    assert (found.values["eos_token_id"], found.values["pad_token_id"]) == (run.vocabulary.eos_id, 0)
    text = "naïve 🙂"
    assert vocabularies.from_folder(exported).encode(text) == run.vocabulary.encode(text)


def test_a_folder_becomes_another(launch, exported, tmp_path):
    target = tmp_path / "small"
    done = launch(
        "convert.py", f"--source={exported}", f"--target={target}", "--dtype=bfloat16", "--shard_gigabytes=0.00001"
    )
    assert done.returncode == 0, done.stderr
    assert len(list(target.glob("model-*.safetensors"))) > 1
    first, second = folders.load(exported), folders.load(target)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2), first.params, second.params)
    assert (target / "tokenizer_config.json").read_text() == (exported / "tokenizer_config.json").read_text()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "--source is missing"),
        (("--source={run}", "--target={new}"), "--family is missing"),
        (("--source={run}", "--target={new}", "--family=t6"), "Did you mean 't5'"),
        (("--source={run}", "--target={new}", "--family=gpt2"), "does not describe this model"),
        (("--source={folder}", "--target={folder}"), "holds a model already"),
        (("--source={new}", "--target={new}/b", "--family=t5"), "no run"),
    ],
)
def test_mistakes_are_told_in_a_line(launch, trained, exported, tmp_path, flags, told):
    places = {"run": trained[0], "folder": exported, "new": tmp_path / "new"}
    done = launch("convert.py", *(flag.format(**places) for flag in flags))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
