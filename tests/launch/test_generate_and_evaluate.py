"""launch/generate.py and launch/evaluate.py on a run that launch/train.py made."""

import gzip
import json

import pytest

PROMPTS = ["aei", "bfj", "dhl"]


@pytest.fixture(scope="module")
def answers(launch, trained):
    done = launch("generate.py", f"--workdir={trained[0]}", *(f"--prompt={p}" for p in PROMPTS))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_prompt_has_its_line(answers):
    assert len(answers) == len(PROMPTS)


def test_files_and_standard_input_give_the_same(launch, trained, answers, tmp_path):
    with gzip.open(tmp_path / "prompts.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(PROMPTS) + "\n")
    output = tmp_path / "answers.jsonl"
    done = launch(
        "generate.py", f"--workdir={trained[0]}", f"--file={tmp_path / 'prompts.txt.gz'}", f"--output={output}"
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(r["prompt"], r["answer"]) for r in rows] == list(zip(PROMPTS, answers))
    assert all(r["score"] < 0 for r in rows)
    done = launch("generate.py", f"--workdir={trained[0]}", input="\n".join(PROMPTS) + "\n")
    assert done.stdout.splitlines() == answers


def test_beams_come_with_their_alternatives(launch, trained):
    done = launch("generate.py", f"--workdir={trained[0]}", "--prompt=aei", "--beams=3", "--format=jsonl")
    row = json.loads(done.stdout)
    scores = [row["score"], *(a["score"] for a in row["alternatives"])]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_evaluation_is_that_of_the_run_and_of_any_file(launch, trained, tmp_path):
    workdir = trained[0]
    recorded = json.loads((workdir / "eval" / "files.json").read_text(encoding="utf-8"))
    done = launch("evaluate.py", f"--workdir={workdir}", f"--output={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "eval" / "files.json").read_text(encoding="utf-8"))
    assert found["loss"] == pytest.approx(recorded["loss"], rel=1e-5)
    assert found["examples"] == recorded["examples"] == 3
    assert "exact_match" in done.stdout
    other = tmp_path / "other.tsv"
    other.write_text("inputs\ttargets\nabc\tcba\nxyz\tzyx\n", encoding="utf-8")
    done = launch("evaluate.py", f"--workdir={workdir}", f"--file={other}", "--metrics=bleu", f"--output={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "eval" / "other.json").read_text(encoding="utf-8"))
    assert found["examples"] == 2
    assert "bleu" in found
    rows = (tmp_path / "predictions" / "other.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(r)["target"] for r in rows] == ["cba", "zyx"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate.py", "--workdir=W/none", "--prompt=x"], "There is no run in"),
        (["generate.py", "--workdir=W", "--prompt=x", "--file=y"], "--prompt and --file both give prompts"),
        (["generate.py", "--workdir=W", "--prompt=x", "--step=99"], "There is no checkpoint of step 99"),
        (["generate.py", "--workdir=W", "--prompt=x", "--step=last"], "--step: expected a number"),
        (["generate.py", "--workdir=W", "--prompt=x", "--beam=2"], "Unknown command line flag 'beam'"),
        (["generate.py", "--workdir=W"], "Standard input is empty"),
        (["evaluate.py", "--workdir=W", "--task=scan_simpel"], "Did you mean 'scan_simple'"),
        (["evaluate.py", "--workdir=W", "--split=tset"], "split 'tset'"),
    ],
)
def test_mistakes_are_one_message_and_no_traceback(launch, trained, arguments, message):
    done = launch(*[a.replace("W", str(trained[0])) for a in arguments], input="")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
