"""Evaluates a checkpoint of a run on a task, a mixture or a file: a table, JSON and the predictions.

python launch/evaluate.py --workdir=runs/demo                        # on what it was trained on
python launch/evaluate.py --workdir=runs/demo --task=scan_simple --split=test --beams=4
python launch/evaluate.py --workdir=runs/mine --file=test.tsv --metrics=bleu
"""

import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from launch import script

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.")
_STEP = flags.DEFINE_string("step", None, "Of the checkpoint: a number, or 'best'; the newest if not given.")
_TASK = flags.DEFINE_string("task", None, "A task or mixture; what the run was trained on if not given.")
_FILE = flags.DEFINE_string("file", None, "A file of yours instead (parallel ones separated by a comma).")
_METRICS = flags.DEFINE_list("metrics", None, "Metrics for --file; those of the run if not given.")
_SPLIT = flags.DEFINE_string("split", None, "The split; the task's own choice if not given.")
_LIMIT = flags.DEFINE_integer("limit", None, "Only the first so many examples.")
_METHOD = flags.DEFINE_enum(
    "method", None, ["greedy", "sample", "beam"], "How to decode; the run's own way if not given."
)
_BEAMS = flags.DEFINE_integer("beams", None, "Beam search with so many beams.")
_LENGTH_PENALTY = flags.DEFINE_float("length_penalty", None, "α of beam search.")
_MAX_LENGTH = flags.DEFINE_integer("max_length", None, "Tokens to generate at most.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Examples at a time.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps its prepared datasets.")
_OUTPUT = flags.DEFINE_string("output", None, "The folder for eval/ and predictions/; the run's own if not given.")


def main(argv: list[str]) -> None:
    script.need(workdir=_WORKDIR.value)
    import t2t
    from t2t.checkpoints import read_config
    from t2t.config import build
    from t2t.errors import UserError
    from t2t.inference import TextModel, evaluate
    from t2t.training import RunConfig

    script.use_compilation_cache()
    model = t2t.load(
        _WORKDIR.value,
        _STEP.value if _STEP.value in (None, "best") else script.integer("step", _STEP.value),
        batch_size=_BATCH_SIZE.value,
        report=script.say,
    )
    workdir = pathlib.Path(_WORKDIR.value).expanduser()
    output = pathlib.Path(_OUTPUT.value).expanduser() if _OUTPUT.value else workdir
    run = build(RunConfig, read_config(workdir))
    changes = {
        "method": _METHOD.value or ("beam" if (_BEAMS.value or 0) > 1 else None),
        "beams": _BEAMS.value,
        "length_penalty": _LENGTH_PENALTY.value,
        "max_length": _MAX_LENGTH.value,
    }
    changes, decode = {k: v for k, v in changes.items() if v is not None}, None
    if isinstance(model, TextModel):
        decode = dataclasses.replace(model.decode, **changes)
    elif changes:
        raise UserError(f"This model answers with labels, not with text: leave out --{', --'.join(changes)}.")
    rows = []
    for task in _tasks(run):
        with script.progress(task.name, None) as progress:
            found = evaluate(
                model,
                task,
                _SPLIT.value,
                decode=decode,
                limit=_LIMIT.value,
                progress=progress,
                data_dir=_DATA_DIR.value or run.data.data_dir,
            )
        found.write(output)
        rows += [
            (found.task, found.split, f"{found.examples:,}", name, f"{value:.4f}")
            for name, value in found.metrics.items()
        ]
    script.table(("task", "split", "examples", "measure", "value"), rows)
    print(f"Written to {output}/eval and /predictions.")


def _tasks(run):
    """What to evaluate on."""
    from t2t import tasks
    from t2t.errors import UserError
    from t2t.training.setup import find_tasks

    if _TASK.value and _FILE.value:
        raise UserError("--task and --file both say what to evaluate on: give one of them.")
    if _TASK.value:
        return [task for task, _ in tasks.tasks_of(tasks.get(_TASK.value), _DATA_DIR.value)]
    if _FILE.value:
        data = dataclasses.replace(
            run.data, train=_FILE.value, validation=_FILE.value, metrics=tuple(_METRICS.value or run.data.metrics)
        )
        return [tasks.from_files(data, name=pathlib.Path(_FILE.value.split(",")[0]).name.split(".")[0])]
    return [task for task, _ in find_tasks(run)]


if __name__ == "__main__":
    script.run(main)
