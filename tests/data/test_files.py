"""The user's own files: what they may look like, and what is said of those that may not."""

import gzip
import json

import pytest

from t2t.data.files import open_file
from t2t.data.lines import Lines
from t2t.errors import DataError

PAIR = ("inputs", "targets")


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", 'inputs\ttargets\nä b\t"c"\nd\te\n'),
        ("a.tsv.gz", 'inputs\ttargets\nä b\t"c"\nd\te\n'),
        ("crlf.tsv", '\ufeffinputs\ttargets\r\nä b\t"c"\r\nd\te\r\n'),
        ("no_end.tsv", 'x\tinputs\ttargets\n1\tä b\t"c"\n2\td\te'),
        ("a.csv", 'inputs,targets\nä b,"""c"""\nd,e\n'),
        ("a.jsonl", '{"inputs": "ä b", "targets": "\\"c\\""}\n{"targets": "e", "inputs": "d", "more": 1}\n'),
    ],
)
def test_the_same_examples_in_every_format(tmp_path, name, text):
    examples = open_file(write(tmp_path / name, text), PAIR)
    assert [(e["inputs"], e["targets"]) for e in (examples[0], examples[1])] == [("ä b", '"c"'), ("d", "e")]
    assert len(examples) == 2


def test_columns_by_number_text_and_parallel_files(tmp_path):
    headless = open_file(write(tmp_path / "h.tsv", "a\tb\nc\td\n"), ("0", "1"))
    assert [headless[i]["1"] for i in range(len(headless))] == ["b", "d"]
    assert open_file(write(tmp_path / "t.txt", "one\ntwo\n"), ("text",))[1] == {"text": "two"}
    paths = ",".join(write(tmp_path / f"p.{s}", t) for s, t in (("en", "a\nb\n"), ("de.gz", "c\nd\n")))
    assert open_file(paths, PAIR)[1] == {"inputs": "b", "targets": "d"}


def test_a_quoted_cell_may_span_lines(tmp_path):
    assert open_file(write(tmp_path / "a.csv", 'inputs,targets\n"a\nb",c\n'), PAIR)[0]["inputs"] == "a\nb"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.tsv",
            "inputs\ttargets\na\tb\nc\n",
            r"a\.tsv, line 3: expected 2 columns \(inputs, targets\), found 1: 'c'",
        ),
        ("a.tsv", "inputs\ttargts\na\tb\n", r"line 1 \(the header\): Unknown column 'targets'\. Did you mean 'targts'"),
        ("a.tsv", "inputs\ttargets\n", "a header line and no examples"),
        ("a.csv", "inputs,targets\na,b,c\n", r"a\.csv, line 2: expected 2 columns"),
        ("a.csv", 'inputs,targets\n"a,b\n', r"a\.csv, line \d+: .*quotes"),
        ("a.jsonl", '{"inputs": "a", "targets": "b"}\n{"inputs": "a"\n', r"a\.jsonl, line 2: no JSON"),
        (
            "a.jsonl",
            '{"inputs": "a", "target": "b"}\n',
            r"a\.jsonl, line 1: Unknown column 'targets'\. Did you mean 'target'",
        ),
        ("a.jsonl", '{"inputs": "a", "targets": 3}\n', r"line 1, 'targets': expected text, found 3"),
        ("a.jsonl", "[1]\n", "expected a JSON object"),
        ("a.txt", "", "is empty: expected at least one line"),
        ("a.tsv", b"inputs\ttargets\nok\tok\nbad\t\xff\n", r"line 3: byte 25 of the file \(0xff\) is not UTF-8.*iconv"),
        ("a.tsv.gz", None, "no whole gzip file"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, name, text, message):
    path = tmp_path / name
    if text is None:
        path.write_bytes(gzip.compress(b"inputs\ttargets\n" * 50)[:-9])
    else:
        write(path, text)
    with pytest.raises(DataError, match=message):
        open_file(str(path), PAIR if path.suffix != ".txt" else ("text",))


def test_files_that_are_not_there_or_of_unequal_length(tmp_path):
    write(tmp_path / "there.tsv", "inputs\ttargets\na\tb\n")
    with pytest.raises(DataError, match=r"no file .*here\.tsv\. Beside it are: there\.tsv"):
        open_file(str(tmp_path / "here.tsv"), PAIR)
    paths = ",".join(write(tmp_path / n, t) for n, t in (("a.en", "a\nb\n"), ("a.de", "c\n")))
    with pytest.raises(DataError, match=r"2 in .*a\.en, 1 in .*a\.de"):
        open_file(paths, PAIR)
    with pytest.raises(DataError, match="Expected 2 parallel files"):
        open_file(paths + "," + str(tmp_path / "a.en"), PAIR)
    with pytest.raises(DataError, match="Unknown format 'tvs'"):
        open_file(str(tmp_path / "there.tsv"), PAIR, "tvs")


def test_lines_can_be_sent_to_workers(tmp_path):
    import pickle

    lines = Lines(write(tmp_path / "a.txt", "one\n\nthree"))
    assert list(pickle.loads(pickle.dumps(lines))) == ["one", "", "three"]
    assert json.dumps(lines[-1]) == '"three"'
