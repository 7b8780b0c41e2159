"""The training loop: batches in, steps, evaluations, checkpoints; and the run that is set up for it and written down
after it."""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from t2t.checkpoints.digests import write_atomically
from t2t.config import difference
from t2t.errors import ConfigError, UserError
from t2t.inference import LabelModel, TextModel, evaluate
from t2t.training.accounting import footprint, peak_flops, step_flops
from t2t.training.config import RunConfig
from t2t.training.distributed import Interrupted, Interruption, gather_position
from t2t.training.labels import labelling
from t2t.training.reporting import Reporter, draw_curves
from t2t.training.setup import Run, set_up
from t2t.training.sharding import place_rows, place_whole


def train(config: RunConfig, workdir: str | pathlib.Path, base: RunConfig | None = None) -> dict[str, Any]:
    """Trains a run to its last step, or goes on with it where its workdir says it stopped.

    Args:
      config: of the run.
      workdir: its folder: config.json, difference.json, vocabulary/, checkpoints/, metrics.jsonl, tensorboard/,
        eval/, predictions/, curves.png and summary.json come to be there.
      base: the recipe from which differences are told.

    Returns:
      What summary.json says.

    Raises:
      UserError: a config, data or a workdir that cannot be used.
      Interrupted: the run was stopped by a signal, and saved.
    """
    config.check()
    if "://" in str(workdir):
        raise ConfigError(
            f"--workdir: expected a folder, found the address {workdir}: mount the bucket or "
            "a disk that all hosts see, and name the folder it is mounted on."
        )
    workdir = pathlib.Path(workdir).expanduser()
    workdir.mkdir(parents=True, exist_ok=True)
    run = set_up(config, workdir, lambda text: print(text, flush=True) if jax.process_index() == 0 else None)
    if base is not None:
        _tell_difference(run.config, base, workdir, run.say)
    reporter = Reporter(workdir, config.train.steps, run.first, active=jax.process_index() == 0)
    try:
        with Interruption() as interruption:
            steps = _Steps(run, reporter, interruption)
            steps.train()
            return steps.finish()
    finally:
        reporter.close()
        run.loader.close()
        run.store.close()


class _Steps:
    """One process's part of a run: from its first step to its last."""

    def __init__(self, run: Run, reporter: Reporter, interruption: Interruption):
        self.run, self.reporter, self.interruption = run, reporter, interruption
        self.config = run.config.train
        self.totals = dict(run.totals)  # tokens, FLOPs and seconds so far, those of earlier processes among them
        self.position = run.position
        self.evaluations: dict[str, float] = {}
        self.saved = run.first
        self.told_too_long = False
        peak = peak_flops(jax.devices()[0])
        self.peak = peak * jax.device_count() if peak else None

    def train(self) -> None:
        """Runs the steps that are left."""
        run, config = self.run, self.config
        pending: tuple[int, Any, float] | None = None
        clock = time.perf_counter()
        for step in range(run.first + 1, config.steps + 1):
            batch, self.position = next(run.loader)
            placed = place_rows(run.mesh, batch)
            run.state, metrics = run.step(run.state, placed)
            flops = step_flops(run.config.model, placed)
            # The numbers of the step before are ready while this one runs: reading them never makes the device wait.
            if pending is not None:
                clock = self._measured(*pending, clock)
            pending = (step, metrics, flops)
            evaluates = config.eval_every and step % config.eval_every == 0 and step < config.steps
            saves = config.checkpoint_every and step % config.checkpoint_every == 0 and step < config.steps
            number = self.interruption.noticed(step)
            if evaluates or saves or number or step == config.steps:
                clock = self._measured(*pending, clock)
                pending = None
                self.evaluations = {}
                if evaluates and not number:
                    self.evaluations = self.evaluate(step, config.eval_examples)
                if saves or number:
                    self.save(step)
                if number:
                    run.store.wait()
                    raise Interrupted(number, step)
                clock = time.perf_counter()

    def _measured(self, step: int, metrics: Any, flops: float, clock: float) -> float:
        """Writes the numbers of a step down, and stops the run where too many steps in a row went wrong."""
        values = {name: float(v) for name, v in jax.device_get(metrics).items()}
        now = time.perf_counter()
        seconds, clock = now - clock, now
        tokens = values.pop("target_tokens")
        bad, skipped = int(values.pop("bad_in_a_row")), int(values["skipped"])
        self.totals["target_tokens"] += 0 if bad else tokens
        self.totals["flops"] += flops
        self.totals["seconds"] += seconds
        self.totals["skipped"] = skipped
        speed = {"tokens_per_second": tokens / seconds, "seconds": seconds}
        if self.peak:
            speed["mfu"] = flops / seconds / self.peak
        self._tell_too_long(step)
        if bad:
            self.reporter.say(f"Step {step}: the gradients are not finite; the step is skipped ({bad} in a row).")
        if step % self.config.log_every == 0 or step in (1, self.config.steps):
            values["skipped"] = skipped
            # JSON has no NaN: a loss that is not finite is left out of the line, and `skipped` says why.
            self.reporter.write(step, {k: v for k, v in {**values, **speed}.items() if math.isfinite(v)})
        self.reporter.progress(step, {**values, **speed})
        if bad >= self.config.bad_steps:
            self.run.store.wait()
            good = f"The last good checkpoint is step {self.saved}" if self.saved else "There is no checkpoint yet"
            raise UserError(
                f"The gradients were not finite for {bad} steps in a row, up to step {step}, so the run stops. {good} "
                f"in {self.run.store.folder}. "
                f"Lower train.schedule.peak, raise train.schedule.warmup, or look at the data."
            )
        return clock

    def _tell_too_long(self, step: int, again: bool = False) -> None:
        """Says that examples are longer than the limits: when the first one comes, and how many at the end."""
        statistics, data = self.run.loader.statistics, self.run.config.data
        if statistics.too_long and (again or not self.told_too_long):
            self.told_too_long = True
            what = {"trim": "cut to them", "skip": "left out", "error": "refused"}[data.too_long]
            self.reporter.say(
                f"Step {step}: {statistics.too_long:,} of {statistics.examples:,} examples so far are longer than "
                f"data.inputs_length {data.inputs_length} or data.targets_length {data.targets_length} tokens and were "
                f"{what}."
            )

    def save(self, step: int) -> None:
        """Begins to save a checkpoint."""
        run, state = self.run, self.run.state
        meta = {
            "position": gather_position(self.position),
            "totals": self.totals,
            "metrics": self.evaluations,
            "vocabulary": run.vocabulary.fingerprint(),
            "continues": run.continues,
        }
        run.store.save(step, state.params, dataclasses.replace(state, params=None), meta)
        self.saved = step

    def evaluate(self, step: int, limit: int, write: bool = False) -> dict[str, float]:
        """Evaluates every task; with `write`, also leaves eval/ and predictions/."""
        run, results = self.run, {}
        data, begun, model = run.config.data, time.perf_counter(), self._model()
        for task in run.tasks:
            if task.evaluation_split not in task.splits:
                continue
            found = evaluate(model, task, limit=limit or None, data_dir=data.data_dir)
            # Neither JSON nor the choice of the best checkpoint knows NaN (the correlation with a constant, say).
            results |= {f"{task.name}/{n}": v for n, v in found.metrics.items() if math.isfinite(v)}
            self.reporter.say(
                f"Step {step}, {task.name} ({found.split}, {found.examples:,} examples): "
                + ", ".join(f"{n} {v:.4g}" for n, v in found.metrics.items())
            )
            if write and jax.process_index() == 0:
                found.write(run.workdir, step)
        losses = [v for n, v in results.items() if n.endswith("/loss")]
        if losses:
            results["loss"] = float(np.mean(losses))
        # `loss` in metrics.jsonl is that of training.
        told = {"evaluation_loss" if name == "loss" else name: value for name, value in results.items()}
        self.reporter.write(step, told | {"evaluation_seconds": time.perf_counter() - begun})
        return results

    def _model(self) -> TextModel | LabelModel:
        """The model as it is now."""
        run, data = self.run, self.run.config.data
        known = dict(
            config=run.config.model,
            params=run.state.params,
            vocabulary=run.vocabulary,
            inputs_length=data.inputs_length,
            batch_size=run.evaluation_rows,
            report=self.reporter.say,
            place=lambda batch: place_whole(run.mesh, batch),
        )
        if labelling(run.config):
            return LabelModel(**known, labels=data.labels, stride=data.stride)
        return TextModel(
            **known,
            targets_length=data.targets_length,
            prefix_attention=data.prefix_attention,
            continues=run.continues,
            consecutive=data.consecutive,
            decode=run.config.decode,
        )

    def finish(self) -> dict[str, Any]:
        """The last evaluation, checkpoint and drawing, and the summary, which is written and returned."""
        run, step = self.run, self.config.steps
        done = run.workdir / "summary.json"
        if run.first >= step and done.is_file():
            self.reporter.say(
                f"{run.workdir} is at step {run.first} of {step} already: nothing is left to do. "
                "Raise --config.train.steps to go on."
            )
            return json.loads(done.read_text(encoding="utf-8"))
        self._tell_too_long(step, again=True)
        self.evaluations = self.evaluate(step, self.config.final_eval_examples, write=True)
        if self.saved < step:
            self.save(step)
        run.store.wait()
        summary = self._summary()
        if jax.process_index() == 0:
            draw_curves(run.workdir)
            write_atomically(done, json.dumps(summary, indent=2) + "\n")
            self._show_predictions()
            self.reporter.say(
                f"Done: {summary['wall_seconds']:.0f} s of training, {summary['target_tokens']:,} target tokens, "
                f"{summary['flops']:.3g} FLOPs, about {summary['energy_kwh']:.3g} kWh. Everything is in {run.workdir}."
            )
        return summary

    def _summary(self) -> dict[str, Any]:
        run, statistics = self.run, self.run.loader.statistics
        seconds = self.totals["seconds"]
        return {
            "steps": self.config.steps,
            "parameters": run.parameters,
            "target_tokens": int(self.totals["target_tokens"]),
            "wall_seconds": seconds,
            "flops": self.totals["flops"],
            "flops_per_second": self.totals["flops"] / seconds if seconds else None,
            "peak_flops_per_second": self.peak,
            "skipped_steps": int(self.totals["skipped"]),
            **footprint(seconds, jax.devices()[0], jax.device_count()),
            "data": {
                "examples_per_second": statistics.examples / statistics.seconds if statistics.seconds else None,
                "packing_efficiency": statistics.efficiency,
                "seconds_waited": statistics.waited,
                "too_long": statistics.too_long,
                "filtered": statistics.filtered,
            },
            "evaluation": self.evaluations,
            "devices": f"{jax.device_count()} × {jax.devices()[0].device_kind}",
            "jax": jax.__version__,
        }

    def _show_predictions(self, count: int = 3) -> None:
        for task in self.run.tasks:
            path = self.run.workdir / "predictions" / f"{task.name}.jsonl"
            if path.is_file() and path.stat().st_size:
                self.reporter.say(f"\n{task.name}, some of its predictions ({path}):")
                for line in path.read_text(encoding="utf-8").splitlines()[:count]:
                    p = json.loads(line)
                    self.reporter.say(
                        f"  input       {p['inputs'][:160]}\n  prediction  {p['prediction'][:160]}\n"
                        f"  target      {p['target'][:160]}\n"
                    )


def _tell_difference(config: RunConfig, base: RunConfig, workdir: pathlib.Path, say: Callable[[str], None]) -> None:
    """Says, and keeps in difference.json, what this run changes in the base recipe."""
    changed = difference(config, base)
    if jax.process_index() == 0:
        told = {name: {"base": old, "run": new} for name, (old, new) in changed.items()}
        write_atomically(workdir / "difference.json", json.dumps(told, indent=2, default=repr) + "\n")
    say("This run differs from the base recipe in:" if changed else "This run is the base recipe.")
    for name, (old, new) in changed.items():
        say(f"  {name}: {new!r} (base: {old!r})")
