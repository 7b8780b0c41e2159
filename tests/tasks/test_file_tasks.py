"""A task of files and columns alone, in every format, with the metrics a user names."""

import gzip
import json

import pytest

from t2t.data import ByteVocabulary, DataConfig
from t2t.errors import DataError
from t2t.tasks import from_files
from t2t.tasks.metrics import TEXT_METRICS

VOCABULARY = ByteVocabulary()


def pairs(task, split: str) -> list[tuple[str, str]]:
    texts, _ = task.evaluation_examples(split, VOCABULARY, lengths=(64, 64))
    return [(t["inputs"], t["targets"]) for t in texts]


def write(path, text: str) -> str:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


ROWS = [("Guten Tag, Welt", "Good day, world"), ("„Ja“", "“Yes”")]
FILES = {
    "pairs.tsv": "".join(f"{a}\t{b}\n" for a, b in [("inputs", "targets"), *ROWS]),
    "pairs.tsv.gz": "".join(f"{a}\t{b}\n" for a, b in [("inputs", "targets"), *ROWS]),
    "pairs.csv": "".join(f'"{a}","{b}"\n' for a, b in [("inputs", "targets"), *ROWS]),
    "pairs.jsonl": "".join(json.dumps({"inputs": a, "targets": b, "more": 3}) + "\n" for a, b in ROWS),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_its_columns(tmp_path, name):
    path = write(tmp_path / name, FILES[name])
    task = from_files(DataConfig(train=path, validation=path))
    assert task.splits == ("train", "validation")
    assert pairs(task, "train") == pairs(task, "validation") == ROWS
    assert task.metrics == ("exact_match",)


def test_parallel_files(tmp_path):
    sides = zip(("de", "en"), zip(*ROWS))
    path = ",".join(write(tmp_path / f"t.{language}", "\n".join(lines) + "\n") for language, lines in sides)
    assert pairs(from_files(DataConfig(train=path, validation=path)), "train") == ROWS


def test_columns_by_name_and_number_and_a_prefix(tmp_path):
    named = write(tmp_path / "named.tsv", "id\tde\ten\n1\tTag\tday\n")
    task = from_files(DataConfig(train=named, validation=named, inputs="de", targets="en", prefix="translate: "))
    assert pairs(task, "train") == [("translate: Tag", "day")]
    bare = write(tmp_path / "bare.tsv", "1\tTag\tday\n2\tNacht\tnight\n")
    task = from_files(DataConfig(train=bare, validation=bare, inputs="1", targets="2"))
    assert pairs(task, "train") == [("Tag", "day"), ("Nacht", "night")]


def test_without_a_validation_file_a_twentieth_is_held_out_the_same_always(tmp_path):
    path = write(tmp_path / "t.tsv", "inputs\ttargets\n" + "".join(f"q{i}\ta{i}\n" for i in range(200)))
    first, again = (from_files(DataConfig(train=path)) for _ in range(2))
    train, held_out = pairs(first, "train"), pairs(first, "validation")
    assert (len(train), len(held_out)) == (190, 10)
    assert sorted(train + held_out) == sorted((f"q{i}", f"a{i}") for i in range(200))
    assert (pairs(again, "train"), pairs(again, "validation")) == (train, held_out)
    assert held_out != [(f"q{i}", f"a{i}") for i in range(190, 200)]  # of the whole file, not its end


def test_of_a_small_file_one_example_is_held_out_and_of_a_large_one_no_more_than_2000(tmp_path):
    two = from_files(DataConfig(train=write(tmp_path / "two.tsv", "inputs\ttargets\na\tb\nc\td\n")))
    assert (len(two.raw("train")), len(two.raw("validation"))) == (1, 1)
    large = write(tmp_path / "large.tsv", "inputs\ttargets\n" + "a\tb\n" * 60_000)
    assert len(from_files(DataConfig(train=large)).raw("validation")) == 2_000


def test_one_example_cannot_be_held_out(tmp_path):
    path = write(tmp_path / "one.tsv", "inputs\ttargets\na\tb\n")
    with pytest.raises(DataError, match="has one example: give at least two, or a --config.data.validation file"):
        from_files(DataConfig(train=path))


def test_the_end_of_a_text_is_held_out_under_an_objective(tmp_path):
    path = write(tmp_path / "book.txt", "".join(f"line {i}\n" for i in range(40)))
    task = from_files(DataConfig(train=path, objective="causal_lm"))
    assert [e["text"] for e in task.raw("validation")] == ["line 38", "line 39"]
    assert task.metrics == ()


@pytest.mark.parametrize("metric", TEXT_METRICS)
def test_metrics_are_chosen_by_name(tmp_path, metric):
    path = write(tmp_path / "t.tsv", "inputs\ttargets\na\tB-b c d e\nc\tB-f g h i\n")
    task = from_files(DataConfig(train=path, validation=path, metrics=(metric,)))
    texts, _ = task.evaluation_examples("validation", VOCABULARY, lengths=(64, 64))
    targets = [task.postprocess(t["targets"], t, True) for t in texts]
    (function,) = task.metric_functions()
    assert all(value == pytest.approx(100) for value in function(targets, targets).values())


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("blue", "Did you mean 'bleu'"),
        ("exactmatch", "Did you mean 'exact_match'"),
        ("f1", "There are: accuracy, bleu"),
        ("multirc_f1", "Unknown metric of text 'multirc_f1'"),
        ("pearson", "Unknown metric of text 'pearson'"),
    ],
)
def test_a_metric_that_is_none_of_texts_is_refused_before_anything_is_read(metric, hint):
    with pytest.raises(DataError, match=rf"data\.metrics: .*{hint}"):
        from_files(DataConfig(train="nowhere.tsv", metrics=(metric,)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.tsv", "inputs\ttargets\na\tb\nc\n", "line 3: expected 2 columns"),
        (
            "t.tsv",
            "source\ttarget\na\tb\n",
            r"line 1 \(the header\): Unknown column 'inputs'\. .*--config\.data\.inputs",
        ),
        ("t.jsonl", '{"inputs": "a", "targets": "b"}\n{"inputs": "a"\n', "line 2: no JSON"),
        ("t.jsonl", '{"inputs": "a", "targets": 3}\n', "line 1, 'targets': expected text, found 3"),
        ("t.tsv", "", "is empty: expected at least one line"),
        ("t.tsv", "inputs\ttargets\n", "holds a header line and no examples"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        from_files(DataConfig(train=write(tmp_path / name, text)))
