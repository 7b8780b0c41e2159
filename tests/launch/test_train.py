"""launch/train.py: a run, its resumption after every way to end, and mistakes without a traceback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import environment

from t2t.inference import TextModel


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def losses(workdir):
    return {line["step"]: line["loss"] for line in lines(workdir) if "loss" in line}


def params(workdir):
    import jax

    return {"/".join(map(str, k)): v for k, v in jax.tree_util.tree_leaves_with_path(TextModel.load(workdir).params)}


def test_a_run_shows_what_it_does(trained):
    workdir, done = trained
    said = done.stdout + done.stderr
    assert "This run differs from the base recipe in:" in said
    assert "  model.width: 16 (base: 256)" in said
    changed = json.loads((workdir / "difference.json").read_text(encoding="utf-8"))
    assert changed["model.width"] == {"base": 256, "run": 16}
    assert "step 4 of 4" in said
    assert "tokens/s" in said
    assert "Step 2, files (validation, 3 examples): loss" in said
    assert "Done:" in said
    assert str(workdir) in said
    assert sorted(losses(workdir)) == [1, 2, 3, 4]


STEPS = ["--config.train.steps=150", "--config.train.eval_every=0", "--config.train.checkpoint_every=10"]
STEPS += ["--config.train.final_eval_examples=1"]


@pytest.fixture(scope="module")
def uninterrupted(launch, config_file, tmp_path_factory):
    """The workdir of a run that nothing ended."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert launch("train.py", f"--config={config_file}", *STEPS, f"--workdir={workdir}").returncode == 0
    return workdir


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_bit_for_bit_whatever_ended_it(
    repository, launch, config_file, uninterrupted, tmp_path, number
):
    settings = [f"--config={config_file}", *STEPS]
    workdir = tmp_path / "stopped"
    command = [sys.executable, str(repository / "launch" / "train.py"), *settings, f"--workdir={workdir}"]
    with subprocess.Popen(
        command, cwd=repository, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (workdir / "metrics.jsonl").is_file() and len(losses_so_far(workdir)) >= 22:
                break
            time.sleep(0.005)
        process.send_signal(number)
        said = process.communicate(timeout=120)[0]
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number, said
        assert f"The run was stopped by {signal.Signals(number).name} after step" in said
        assert "the same command goes on from there" in said
    again = launch("train.py", *settings, f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    assert "Going on from the checkpoint of step" in again.stdout
    assert losses(workdir) == losses(uninterrupted)
    assert len(losses(uninterrupted)) == 150
    expected = params(uninterrupted)
    for name, value in params(workdir).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def losses_so_far(workdir):
    return [line for line in (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines() if '"loss"' in line]


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start_two(repository, *arguments):
    """The same command in two processes of two devices each, as on two hosts."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, str(repository / "launch" / "train.py"), *arguments]
            + [f"--coordinator=localhost:{port}", "--processes=2", f"--process_id={i}"],
            cwd=repository,
            env=environment(devices=2),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]


def finish(processes):
    """What they printed, and how they ended."""
    said = [p.communicate(timeout=240)[0] for p in processes]
    return said, [p.returncode for p in processes]


def test_two_processes_train_as_one_and_go_on_after_a_signal_to_either(repository, launch, config_file, tmp_path):
    settings = [f"--config={config_file}", "--config.train.steps=100", "--config.train.eval_every=50"]
    settings += ["--config.train.checkpoint_every=0"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert launch("train.py", *settings, f"--workdir={one}").returncode == 0
    processes = start_two(repository, *settings, f"--workdir={two}")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and processes[0].poll() is None:
        if (two / "metrics.jsonl").is_file() and len(losses_so_far(two)) >= 3:
            break
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGTERM)
    said, statuses = finish(processes)
    assert statuses == [128 + signal.SIGTERM] * 2, said
    assert "mesh data 4 × fsdp 1 × tensor 1" in said[0]
    assert "The run was stopped by SIGTERM after step" in said[0]
    assert "4 × fsdp" not in said[1], "only the first process reports"
    stopped = max(losses(two))
    assert 3 <= stopped < 100
    said, statuses = finish(start_two(repository, *settings, f"--workdir={two}"))
    assert statuses == [0, 0], said
    assert f"Going on from the checkpoint of step {stopped}." in said[0]
    a, b = losses(one), losses(two)
    assert sorted(a) == sorted(b) == list(range(1, 101))
    np.testing.assert_allclose([b[s] for s in range(1, 41)], [a[s] for s in range(1, 41)], rtol=1e-4)
    evaluated = [{k: v for line in lines(w) for k, v in line.items() if k == "files/loss"} for w in (one, two)]
    assert evaluated[0]["files/loss"] == pytest.approx(evaluated[1]["files/loss"], rel=1e-4)
    expected = params(one)
    for name, value in params(two).items():
        np.testing.assert_allclose(value, expected[name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=w"], "error: No --config. Expected a config file, for example --config=configs/demo.py."),
        (["--config=CONFIG"], "error: --workdir is missing: give --workdir="),
        (
            ["--config=configs/demmo.py", "--workdir=w"],
            "error: --config: there is no file configs/demmo.py. There are:",
        ),
        (["--config=CONFIG", "--workdir=w", "--config.train.step=5"], "steps"),
        (["--config=CONFIG", "--workdir=w", "--config.train.steps=many"], "many"),
        (["--config=CONFIG", "--workdir=w", "--config.train.steps=0"], "steps: expected at least 1, found 0"),
        (["--config=CONFIG", "--workdir=w", "--config.data.train=none.tsv"], "none.tsv"),
        (["--config=CONFIG", "--workdir=w", "--config.task=scan_simpel"], "found both task"),
        (["--config=configs/demo.py", "--workdir=w", "--config.task=scan_simpel"], "Did you mean 'scan_simple'"),
        (
            ["--config=CONFIG", "--workdir=w", "--processes=2"],
            "--coordinator=HOST:PORT, --processes=N and --process_id",
        ),
        (["--config=CONFIG", "--workdir=gs://bucket/run"], "expected a folder, found the address gs://bucket/run"),
    ],
)
def test_mistakes_are_one_message_and_no_traceback(launch, config_file, tmp_path, arguments, message):
    arguments = [a.replace("CONFIG", str(config_file)).replace("=w", f"={tmp_path / 'w'}") for a in arguments]
    done = launch("train.py", *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 12
    assert not os.path.exists("w")
