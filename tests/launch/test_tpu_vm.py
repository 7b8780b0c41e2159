"""launch/tpu_vm.sh: the plan it prints, which is all that can be tested without a slice."""

import shlex
import subprocess

import pytest


@pytest.fixture(scope="module")
def tpu_vm(repository):
    def run(*arguments):
        return subprocess.run(
            ["bash", str(repository / "launch" / "tpu_vm.sh"), *arguments], capture_output=True, text=True, timeout=60
        )

    return run


WHERE = ("--name=mine", "--zone=us-central2-b", "--type=v4-32", "--dry_run")
COMMAND = (
    "--",
    "launch/train.py",
    "--config=configs/finetune.py",
    "--config.data.train=my pairs.tsv",
    "--workdir=/mnt/r",
)


def plan(done):
    assert done.returncode == 0, done.stderr
    return [shlex.split(line[2:]) for line in done.stdout.splitlines()]


def test_the_plan_makes_the_slice_brings_the_code_and_runs_the_command_everywhere(tpu_vm, repository):
    create, pack, copy, set_up, run = plan(tpu_vm(*WHERE, *COMMAND))
    assert create[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "create", "mine"]
    assert {"--zone=us-central2-b", "--accelerator-type=v4-32"} <= set(create)
    assert "git ls-files" in pack[-1]
    assert str(repository) in pack[-1]
    assert "mine:t2t.tar.gz" in copy
    for step in (copy, set_up, run):
        assert "--worker=all" in step
    assert "pip install" in set_up[-1]
    assert "[tpu]" in set_up[-1]
    on_worker = run[-1].removeprefix("--command=")
    assert shlex.split(on_worker) == ["cd", "t2t", "&&", ".venv/bin/python", *COMMAND[1:]]


def test_options(tpu_vm):
    steps = plan(tpu_vm(*WHERE, "--spot", "--delete", "--project=p", "--version=tpu-ubuntu2204-base", *COMMAND))
    assert "--spot" in steps[0]
    assert steps[-1][4] == "delete"
    assert all("--project=p" in step for step in steps if step[0] == "gcloud")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--zone=z", "--type=t", *COMMAND), "--name is missing"),
        (WHERE, "no command; put it after --"),
        ((*WHERE, "--tpye=v4-8", *COMMAND), "unknown flag '--tpye=v4-8'"),
    ],
)
def test_mistakes(tpu_vm, arguments, message):
    done = tpu_vm(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
