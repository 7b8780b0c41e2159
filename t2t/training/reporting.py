"""What is seen of a run: a progress bar, metrics.jsonl, TensorBoard events, and curves.png."""

import json
import os
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

METRICS = "metrics.jsonl"


class Reporter:
    """Writes and shows what is measured. Only the first host has one that does anything.

    Args:
      workdir: of the run.
      steps: the last step.
      first: the step after which this process begins; later lines in the files are dropped, so that there is one truth.
      active: whether this host reports.
    """

    def __init__(self, workdir: pathlib.Path, steps: int, first: int = 0, active: bool = True):
        self.workdir, self.steps, self.active = pathlib.Path(workdir), steps, active
        self._shown, self._begun, self._first = 0.0, time.monotonic(), first
        self._bar = self._task = None
        if not active:
            return
        drop_lines_after(self.workdir / METRICS, first)
        self._file = open(self.workdir / METRICS, "a", encoding="utf-8")  # noqa: SIM115 (closed by `close`)
        from tensorboardX import SummaryWriter

        self._events = SummaryWriter(str(self.workdir / "tensorboard"), purge_step=first + 1 if first else None)
        if sys.stderr.isatty():
            self._start_bar(first)

    def _start_bar(self, first: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            transient=False,
        )
        self._task = self._bar.add_task("training", total=self.steps, completed=first, numbers="")
        self._bar.start()

    def say(self, text: str) -> None:
        """A line for people."""
        if self.active:
            if self._bar is not None:
                self._bar.console.print(text, highlight=False, markup=False)
            else:
                print(text, file=sys.stderr, flush=True)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl: the step and what was measured then."""
        if self.active:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._events.add_scalar(name, value, step)

    def progress(self, step: int, numbers: Mapping[str, float]) -> None:
        """Shows how far the run is: the bar, or a plain line every few seconds."""
        if not self.active:
            return
        text = f"loss {numbers['loss']:.3f}  {numbers['tokens_per_second']:,.0f} tokens/s"
        if "mfu" in numbers:
            text += f"  MFU {100 * numbers['mfu']:.1f} %"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, numbers=text)
        elif time.monotonic() - self._shown > 5.0 or step == self.steps:
            self._shown = time.monotonic()
            done = step - self._first
            left = (self._shown - self._begun) / max(done, 1) * (self.steps - step)
            self.say(f"step {step:,} of {self.steps:,}  {text}  {_duration(left)} left")

    def close(self) -> None:
        """Ends the bar and the files."""
        if self.active:
            if self._bar is not None:
                self._bar.stop()
            self._events.close()
            self._file.close()


def drop_lines_after(path: pathlib.Path, step: int) -> None:
    """Takes out of a metrics file the lines of steps after `step`, and one that was cut short."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    path = pathlib.Path(workdir) / METRICS
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def draw_curves(workdir: pathlib.Path) -> pathlib.Path:
    """Draws the training loss, and every measure of the evaluations, into curves.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_metrics(workdir)
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if "/" in name and not name.endswith(("perplexity", "token_accuracy")):
                curves.setdefault(name, []).append((line["step"], value))
    scores = {n: c for n, c in curves.items() if not n.endswith("/loss")}
    figure = Figure(figsize=(12 if scores else 6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    if losses:
        axes[0].plot(*zip(*losses), color="0.75", linewidth=0.7, label="training, each step")
        axes[0].plot(*zip(*_smoothed(losses)), color="C0", label="training")
        axes[0].set_ylim(0, 1.05 * max(value for _, value in losses[len(losses) // 50 :]))
    for name, curve in curves.items():
        axes[0 if name.endswith("/loss") else 1].plot(*zip(*curve), marker="o", markersize=3, label=name)
    for axis, title in zip(axes, ("loss (nats a token)", "measures of the tasks")):
        axis.set_xlabel("step")
        axis.set_title(title)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    path = pathlib.Path(workdir) / "curves.png"
    figure.savefig(path, dpi=120)
    return path


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means over a fiftieth of the points."""
    width = max(len(points) // 50, 1)
    return [
        (
            points[min(i + width, len(points)) - 1][0],
            sum(v for _, v in points[i : i + width]) / len(points[i : i + width]),
        )
        for i in range(0, len(points), width)
    ]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
