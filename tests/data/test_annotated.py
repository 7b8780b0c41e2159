"""CoNLL's and SQuAD's formats, right and wrong."""

import gzip
import json

import pytest

from t2t.data import DataConfig
from t2t.data.files import open_file
from t2t.errors import DataError
from t2t.tasks import from_files

QUESTION = {"id": "q", "question": "who?", "answers": [{"text": "cat", "answer_start": 4}]}
FLAT = {"id": "q", "question": "who?", "context": "the cat", "answers": ["cat"], "answer_starts": [4]}


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


@pytest.mark.parametrize(
    "text", ["a\tO\nb\tB-x\n\n\nc\tO\n", "a x O\nb y B-x\n \nc z O", "-DOCSTART- O\n\na O\nb B-x\n\nc O\n"]
)
def test_conll(tmp_path, text):
    found = open_file(write(tmp_path / "f.conll", text), ("inputs", "targets"))
    assert list(found) == [{"inputs": "a b", "targets": "O B-x"}, {"inputs": "c", "targets": "O"}]


def test_squad_as_a_whole_or_line_by_line(tmp_path):
    whole = {"data": [{"paragraphs": [{"context": "the cat", "qas": [QUESTION, {**QUESTION, "answers": []}]}]}]}
    lists = {**QUESTION, "context": "the cat", "answers": {"text": ["cat"], "answer_start": [4]}}
    none = {**FLAT, "answers": [], "answer_starts": []}
    for name, text in (
        ("a.json", json.dumps(whole, indent=2)),
        ("b.json.gz", json.dumps(whole)),
        ("c.jsonl", json.dumps(lists) + "\n" + json.dumps({**lists, "answers": {"text": [], "answer_start": []}})),
    ):
        assert list(open_file(write(tmp_path / name, text), (), "squad")) == [FLAT, none]


def test_squad_is_a_task_for_models_of_text_too(tmp_path):
    lines = "".join(json.dumps({**QUESTION, "context": c}) + "\n" for c in ("the cat", "the  cat sat"))
    path = write(tmp_path / "q.jsonl", lines)
    task = from_files(DataConfig(train=path, validation=path, format="squad"))
    (first, _) = task.evaluation_texts("validation")
    assert (first["inputs"], first["targets"]) == ("question: who? context: the cat", "cat")
    (metric,) = task.metric_functions()
    targets = [task.postprocess("cat", first, True), task.postprocess("", {"answers": []}, True)]
    assert metric(targets, ["the cat", ""]) == {"em": 100.0, "f1": 100.0}
    assert metric(targets, ["dog", "cat"]) == {"em": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.conll", "a\tO\nb\n", "line 2: expected a word and its tag, found 'b'"),
        ("b.conll", "\n\n", "holds no word"),
        ("c.json", '{"data": [{"paragraphs": [{"qas": []}]}]}', "holds no question"),
        ("d.json", '{"question": "q"}', "KeyError 'answers' does not fit"),
        ("e.json", "{", "line 1: no JSON"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        open_file(write(tmp_path / name, text), (), "auto" if name.endswith("conll") else "squad")
