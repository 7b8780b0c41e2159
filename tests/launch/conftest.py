"""The scripts as a user runs them: other processes, with their output and exit status."""

import os
import pathlib
import subprocess
import sys

import pytest

SETTINGS = """
from configs import finetune

def get_config():
    config = finetune.get_config()
    config.data.train = "{train}"
    config.data.vocabulary = "bytes"
    config.data.inputs_length = config.data.targets_length = 16
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width = 16, 2, 8, 32
    model.encoder_layers = model.decoder_layers = 1
    config.train.steps, config.train.batch_size = 4, 8
    config.train.eval_every = config.train.checkpoint_every = 2
    config.decode.max_length = 8
    return config
"""


def environment(devices: int = 1) -> dict[str, str]:
    """One device unless more are asked for."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
        "--xla_cpu_collective_call_terminate_timeout_seconds=600",  # see the conftest above
    }


@pytest.fixture(scope="session")
def launch(repository):
    """launch("train.py", "--flag=…") → the finished process."""

    def run(script: str, *arguments: str, **settings) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(repository / "launch" / script), *arguments],
            cwd=repository,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            **settings,
        )

    return run


@pytest.fixture(scope="session")
def config_file(tmp_path_factory) -> pathlib.Path:
    """A config of a run that takes seconds, on words to be turned around."""
    folder = tmp_path_factory.mktemp("launch")
    words = [f"{a}{b}{c}" for a in "abcd" for b in "efgh" for c in "ijkl"]
    lines = ["inputs\ttargets", *(f"{w}\t{w[::-1]}" for w in words)]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "tiny.py"
    path.write_text(SETTINGS.format(train=folder / "pairs.tsv"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(launch, config_file, tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """The workdir of a run that launch/train.py made, and what it printed."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    done = launch("train.py", f"--config={config_file}", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done
