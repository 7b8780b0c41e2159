"""The scripts with a model that answers with labels: trained, asked, evaluated, and exported."""

import json

import pytest

import t2t
from t2t import folders

SETTINGS = """
from configs import sst2_encoder

def get_config():
    config = sst2_encoder.get_config()
    config.data.train = config.data.validation = "{train}"
    config.data.vocabulary = "words:64"
    config.data.inputs_length, config.data.buckets = 16, ()
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width, model.encoder_layers = 16, 2, 8, 32, 1
    config.train.steps, config.train.batch_size = 60, 16
    config.train.schedule.peak, config.train.schedule.warmup = 1e-2, 5
    config.train.eval_every = config.train.checkpoint_every = 0
    return config
"""


@pytest.fixture(scope="module")
def labelled(launch, tmp_path_factory):
    """The workdir of a run, and the file it learned from."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = [f"{a} {b} film\t{int(a == 'good')}" for a in ("good", "bad") for b in ("old", "new", "long", "short")]
    (folder / "rows.tsv").write_text("\n".join(["sentence\tlabel", *rows * 4]) + "\n", encoding="utf-8")
    (folder / "tiny.py").write_text(SETTINGS.format(train=folder / "rows.tsv"), encoding="utf-8")
    done = launch("train.py", f"--config={folder / 'tiny.py'}", f"--workdir={folder / 'run'}")
    assert done.returncode == 0, done.stderr
    assert "label_accuracy 100, accuracy 100" in done.stdout + done.stderr
    return folder / "run", folder / "rows.tsv"


def test_it_answers_prompts(launch, labelled, tmp_path):
    prompts = ("--prompt=good short film", "--prompt=bad new film")
    done = launch("generate.py", f"--workdir={labelled[0]}", *prompts)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "0"]), done.stderr
    done = launch("generate.py", f"--workdir={labelled[0]}", "--beams=4", *prompts)
    assert done.returncode == 2
    assert "leave out --beams" in done.stderr


def test_it_is_evaluated(launch, labelled, tmp_path):
    done = launch(
        "evaluate.py", f"--workdir={labelled[0]}", f"--file={labelled[1]}", "--metrics=matthews", f"--output={tmp_path}"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "eval" / "rows.json").read_text(encoding="utf-8"))
    assert found["matthews_corrcoef"] == pytest.approx(100.0)
    assert found["examples"] == 32


def test_it_becomes_a_folder_with_its_labels(launch, labelled, tmp_path):
    target = tmp_path / "folder"
    done = launch("convert.py", f"--source={labelled[0]}", f"--target={target}", "--family=bert")
    assert done.returncode == 0, done.stderr
    values = json.loads((target / "config.json").read_text(encoding="utf-8"))
    assert values["id2label"] == {"0": "0", "1": "1"}
    assert folders.load(target).config.outputs == t2t.load(labelled[0]).config.outputs == ("sequence",)
