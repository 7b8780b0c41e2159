"""Whole runs: what they leave behind, and that a run that was stopped goes on as if it had not been."""

import dataclasses
import json
import math
import signal

import jax
import numpy as np
import pytest
from runs import run_config, with_train, write_pairs

from t2t.checkpoints import steps
from t2t.data.loader import Loader
from t2t.errors import CheckpointError, ConfigError, DataError, UserError
from t2t.inference import TextModel
from t2t.tasks import from_files
from t2t.training import Interrupted, train
from t2t.training.distributed import Interruption
from t2t.training.reporting import read_metrics
from t2t.training.workdir import resolve_vocabulary

EVERY_SECOND = {"eval_every": 3, "checkpoint_every": 2}


def losses(workdir):
    return [line["loss"] for line in read_metrics(workdir) if "loss" in line]


def final_params(workdir):
    return jax.tree.leaves(TextModel.load(workdir).params)


def assert_same_run(a, b):
    assert losses(a) == losses(b)
    for x, y in zip(final_params(a), final_params(b)):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def config(folder):
    return run_config(folder, steps=8, **EVERY_SECOND)


@pytest.fixture(scope="module")
def uninterrupted(config, folder):
    workdir = folder / "uninterrupted"
    return workdir, train(config, workdir)


def stop_after(monkeypatch, step, how):
    """Has the process end when a step has been trained, as `how` does."""

    def noticed(self, now):
        return how() if now == step else None

    monkeypatch.setattr(Interruption, "noticed", noticed)


def test_a_run_leaves_everything_behind(uninterrupted, config):
    workdir, summary = uninterrupted
    there = {str(p.relative_to(workdir)) for p in workdir.rglob("*") if p.is_file()}
    for name in ("config.json", "metrics.jsonl", "curves.png", "summary.json", "eval/files.json"):
        assert name in there
    assert any(name.startswith("tensorboard/events") for name in there)
    assert (workdir / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert summary == json.loads((workdir / "summary.json").read_text(encoding="utf-8"))
    assert summary["steps"] == 8
    assert summary["parameters"] == sum(x.size for x in final_params(workdir))
    assert summary["target_tokens"] > 0
    assert summary["flops"] > 0
    assert summary["energy_kwh"] > 0
    assert "PUE" in summary["assumptions"]
    assert 0 < summary["data"]["packing_efficiency"] <= 1
    lines = read_metrics(workdir)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))
    assert [line["step"] for line in lines if "files/loss" in line] == [3, 6, 8]
    assert steps(workdir / "checkpoints") == [4, 6, 8]
    predictions = [json.loads(x) for x in (workdir / "predictions" / "files.jsonl").read_text("utf-8").splitlines()]
    assert len(predictions) == 6  # a twentieth of 120
    assert set(predictions[0]) == {"inputs", "target", "prediction"}
    assert predictions[0]["inputs"] == predictions[0]["target"][::-1]
    resolved = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    assert resolved["model"]["vocab_size"] == 384
    assert resolved["train"]["steps"] == 8


def test_the_best_checkpoint_is_the_one_with_the_best_evaluation(folder):
    config = run_config(folder, steps=6, eval_every=1, checkpoint_every=1, keep=1, best_metric="files/loss")
    workdir = folder / "best"
    train(config, workdir)
    evaluated = {line["step"]: line["files/loss"] for line in read_metrics(workdir) if "files/loss" in line}
    best = min(evaluated, key=evaluated.get)
    assert steps(workdir / "checkpoints") == sorted({best, 6})
    TextModel.load(workdir, step="best")


@pytest.mark.parametrize("packing", [True, False])
def test_a_signal_saves_and_the_same_command_goes_on(folder, monkeypatch, packing):
    config = run_config(folder, {"packing": packing}, steps=7)
    whole, parts = folder / f"whole{packing}", folder / f"parts{packing}"
    train(config, whole)
    for step in (3, 5):
        stop_after(monkeypatch, step, lambda: 15)
        with pytest.raises(Interrupted, match=f"SIGTERM after step {step}, saved; the same command goes on"):
            train(config, parts)
        assert steps(parts / "checkpoints")[-1] == step
    monkeypatch.undo()
    train(config, parts)
    assert_same_run(whole, parts)
    assert (
        json.loads((parts / "summary.json").read_text())["target_tokens"]
        == (json.loads((whole / "summary.json").read_text())["target_tokens"])
    )


def test_a_process_that_dies_goes_on_from_the_last_checkpoint(uninterrupted, config, folder, monkeypatch):
    class PowerCut(BaseException):
        pass

    def die():
        raise PowerCut

    workdir = folder / "died"
    stop_after(monkeypatch, 7, die)  # after the checkpoint of step 6, with lines of step 7 written perhaps
    with pytest.raises(PowerCut):
        train(config, workdir)
    monkeypatch.undo()
    train(config, workdir)
    assert_same_run(uninterrupted[0], workdir)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_noticed_and_their_handlers_come_back(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert signal.getsignal(number) is not before
        assert interruption.noticed(1) is None
        signal.raise_signal(number)
        assert interruption.noticed(2) == number
        with pytest.raises(KeyboardInterrupt):  # a second ends it at once
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before(
    uninterrupted, config, folder, monkeypatch, capsys
):
    workdir = folder / "damaged"
    stop_after(monkeypatch, 6, lambda: 2)
    with pytest.raises(Interrupted, match="SIGINT"):
        train(config, workdir)
    monkeypatch.undo()
    victim = max((workdir / "checkpoints" / "6" / "params").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    capsys.readouterr()
    train(config, workdir)
    said = "".join(capsys.readouterr())
    assert "The checkpoint of step 6 cannot be used" in said
    assert "Going on from the checkpoint of step 4." in said
    assert_same_run(uninterrupted[0], workdir)


def test_a_finished_run_says_so_and_goes_on_with_more_steps(folder, capsys):
    config = run_config(folder, steps=3)
    workdir = folder / "finished"
    first = train(config, workdir)
    capsys.readouterr()
    assert train(config, workdir) == first
    assert "nothing is left to do. Raise --config.train.steps" in "".join(capsys.readouterr())
    train(with_train(config, steps=5), workdir)
    assert_same_run_prefix = losses(workdir)
    assert len(assert_same_run_prefix) == 5


def test_a_workdir_of_another_config_is_refused_naming_the_fields(uninterrupted, config):
    other = with_train(config, seed=7, label_smoothing=0.1, log_every=2)
    with pytest.raises(CheckpointError) as error:
        train(other, uninterrupted[0])
    assert "train.seed: 0 in the workdir, 7 now" in str(error.value)
    assert "train.label_smoothing: 0.0 in the workdir, 0.1 now" in str(error.value)
    assert "log_every" not in str(error.value)  # may change


def test_another_vocabulary_in_the_workdir_is_noticed(folder, monkeypatch):
    config = run_config(folder, {"vocabulary": "sentencepiece:300"}, steps=4)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, vocab_size=512))
    workdir = folder / "vocabulary"
    stop_after(monkeypatch, 2, lambda: 15)
    with pytest.raises(Interrupted):
        train(config, workdir)
    monkeypatch.undo()
    from t2t.data.vocabulary import train_sentencepiece

    train_sentencepiece(["quite", "other", "words"] * 50, 300).save(workdir / "vocabulary")
    with pytest.raises(CheckpointError, match="is not the vocabulary that step 2 was trained with"):
        train(config, workdir)


def poisoned(monkeypatch, which):
    """Makes the sums of the named steps overflow."""
    original, count = Loader.__next__, [0]

    def next_batch(self):
        batch, position = original(self)
        count[0] += 1
        if count[0] in which:
            batch = {**batch, "loss_weights": batch["loss_weights"] * np.float32(1e36)}
        return batch, position

    monkeypatch.setattr(Loader, "__next__", next_batch)


def test_steps_that_are_not_finite_are_skipped_and_counted(folder, monkeypatch, capsys):
    config = run_config(folder, steps=6, bad_steps=3)
    poisoned(monkeypatch, {2, 3, 5})
    summary = train(config, folder / "skips")
    assert summary["skipped_steps"] == 3
    said = "".join(capsys.readouterr())
    assert "Step 3: the gradients are not finite; the step is skipped (2 in a row)." in said
    assert all(math.isfinite(x) for x in losses(folder / "skips"))
    for line in (folder / "skips" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_too_many_of_them_stop_the_run_naming_the_last_good_checkpoint(folder, monkeypatch):
    config = run_config(folder, steps=9, bad_steps=3, checkpoint_every=2)
    poisoned(monkeypatch, {5, 6, 7, 8, 9})
    with pytest.raises(
        UserError, match=r"not finite for 3 steps in a row, up to step 7, .* last good checkpoint is step 6"
    ):
        train(config, folder / "stops")


def test_a_run_starts_from_anothers_parameters_and_vocabulary(uninterrupted, folder):
    config = dataclasses.replace(run_config(folder, steps=1), init_from=str(uninterrupted[0]))
    config = with_train(config, seed=99)
    workdir = folder / "warm"
    train(config, workdir)
    assert losses(workdir)[0] < losses(uninterrupted[0])[0]
    assert (workdir / "vocabulary" / "vocabulary.json").read_bytes() == (
        (uninterrupted[0] / "vocabulary" / "vocabulary.json").read_bytes()
    )
    scanned = dataclasses.replace(config, model=dataclasses.replace(config.model, stacking="scanned"))
    train(scanned, folder / "scanned")
    np.testing.assert_allclose(losses(folder / "scanned"), losses(workdir), rtol=1e-2)  # dropout draws otherwise
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, mlp_width=48))
    with pytest.raises(
        CheckpointError, match=r"≠ .*feed_forward/in/kernel: \[16, 32\] in the checkpoint, \[16, 48\] in the model"
    ):
        train(wider, folder / "wider")


@pytest.mark.parametrize(("policy", "done"), [("trim", "cut to them"), ("skip", "left out")])
def test_examples_that_are_too_long_are_told_and_counted(folder, capsys, policy, done):
    config = run_config(folder, {"targets_length": 6, "too_long": policy}, steps=3)
    summary = train(config, folder / policy)
    said = "".join(capsys.readouterr())
    assert "or data.targets_length 6 tokens and were " + done in said
    assert said.count("tokens and were " + done) == 2  # when it is first noticed, and at the end
    assert summary["data"]["too_long"] > 0


def test_mistakes_are_found_before_anything_is_written(folder, tmp_path):
    config = run_config(folder)
    with pytest.raises(ConfigError, match="Expected a task or a training file, found both task 'embedded'"):
        train(dataclasses.replace(config, task="embedded"), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"train\.batch_size 9 does not divide"):
        train(with_train(config, batch_size=9), tmp_path / "b")
    empty = tmp_path / "empty.tsv"
    empty.write_text("inputs\ttargets\n")
    with pytest.raises(DataError, match="empty.tsv"):
        train(dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(empty))), tmp_path / "c")


def test_a_run_on_a_broken_line_names_it(folder, tmp_path):
    path = write_pairs(tmp_path / "broken.tsv", 20)
    with open(path, "a", encoding="utf-8") as file:
        file.write("one column alone\n")
    config = run_config(folder)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(path)))
    with pytest.raises(DataError, match=r"broken\.tsv.* line 22"):
        train(config, tmp_path / "run")


def test_a_measure_that_is_not_a_number_stays_out_of_every_json(folder, monkeypatch):
    import t2t.tasks.task as task_module

    monkeypatch.setitem(task_module.METRICS, "exact_match", lambda targets, predictions: {"odd": float("nan")})
    workdir = folder / "odd"
    summary = train(run_config(folder, steps=2, eval_every=1, checkpoint_every=1), workdir)
    assert "files/odd" not in summary["evaluation"]
    for path in [*workdir.rglob("*.json"), workdir / "metrics.jsonl"]:
        assert "NaN" not in path.read_text(encoding="utf-8"), path
    assert json.loads((workdir / "eval" / "files.json").read_text(encoding="utf-8"))["odd"] is None


@pytest.mark.parametrize(
    ("architecture", "objective", "message"),
    [
        (
            "encoder",
            "causal_lm",
            "objective 'causal_lm', found model.architecture 'encoder': set data.objective to",
        ),
        (
            "encoder",
            "",
            "inputs and targets of their own lengths, found .* 'encoder': set data.objective to",
        ),
        (
            "decoder",
            "masked_lm",
            "objective 'masked_lm', found model.architecture 'decoder': masked_lm is for an",
        ),
    ],
)
def test_an_objective_that_the_architecture_cannot_learn_is_refused(tmp_path, architecture, objective, message):
    config = run_config(tmp_path)
    layers = {"encoder_layers": int(architecture == "encoder"), "decoder_layers": int(architecture == "decoder")}
    model = dataclasses.replace(config.model, architecture=architecture, **layers)
    if objective:
        data = dataclasses.replace(config.data, objective=objective, format="text")
    else:
        data = config.data
    with pytest.raises(ConfigError, match=message):
        train(dataclasses.replace(config, model=model, data=data), tmp_path / "run")


def test_tasks_that_ask_for_several_vocabularies_are_refused(tmp_path):
    config = run_config(tmp_path, {"vocabulary": ""})
    own = [dataclasses.replace(from_files(config.data), vocabulary=name) for name in ("bytes", "pixels", "")]
    assert resolve_vocabulary(tmp_path / "one", config, own[1:], print).spec()["name"] == "pixels"
    with pytest.raises(ConfigError, match="bytes, pixels: choose data.vocabulary"):
        resolve_vocabulary(tmp_path / "two", config, own, print)
