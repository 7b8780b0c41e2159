"""Writes a model as a folder in Hugging Face's format, which transformers loads: a trained run, or another folder.

python launch/convert.py --source=runs/mine --target=exported --family=t5
python launch/convert.py --source=folder --target=small --dtype=bfloat16 --shard_gigabytes=2
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from launch import script

_SOURCE = flags.DEFINE_string("source", None, "The workdir of a run, or a folder in Hugging Face's format.")
_TARGET = flags.DEFINE_string("target", None, "The folder to write; it is made, and must not hold a model already.")
_FAMILY = flags.DEFINE_string(
    "family", None, "Whose names the tensors get (a model_type, such as t5 or gpt2); a folder's own if not given."
)
_STEP = flags.DEFINE_string("step", None, "Of a run's checkpoint: a number, or 'best'; the newest if not given.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the tensors.")
_SHARD = flags.DEFINE_float("shard_gigabytes", 5.0, "The most that a file of tensors holds.")


def main(argv: list[str]) -> None:
    script.need(source=_SOURCE.value, target=_TARGET.value)
    from t2t import folders
    from t2t.data import vocabulary as vocabularies
    from t2t.errors import UserError
    from t2t.inference import LabelModel, load

    target = pathlib.Path(_TARGET.value).expanduser()
    if (target / "config.json").exists():
        raise UserError(f"--target: {target} holds a model already: name another folder.")
    options = {"dtype": _DTYPE.value, "shard_bytes": int(_SHARD.value * 1e9)}
    if folders.is_folder(_SOURCE.value):
        if _STEP.value:
            raise UserError(f"--step is of a run's checkpoints, found {_SOURCE.value}, a folder: leave it out.")
        found = folders.load(_SOURCE.value)
        family = _FAMILY.value or found.family.name
        values = found.values if family == found.family.name else {}
        folders.save(target, found.config, found.params, family=family, values=values, **options)
        vocabularies.copy_files(_SOURCE.value, target)
    else:
        script.need(family=_FAMILY.value)
        step = _STEP.value if _STEP.value in (None, "best") else script.integer("step", _STEP.value)
        run = load(_SOURCE.value, step, report=script.say)
        labels = run.labels if isinstance(run, LabelModel) else ()
        values = {"id2label": {str(i): label for i, label in enumerate(labels)}} if labels else {}
        values |= folders.token_ids(run.vocabulary, _FAMILY.value)
        folders.save(target, run.config, run.params, family=_FAMILY.value, values=values, **options)
        run.vocabulary.save_files(target)
    size = sum(file.stat().st_size for file in target.iterdir())
    script.say(f"{target}: a '{_FAMILY.value or family}' of {size / 1e6:,.1f} MB.")


if __name__ == "__main__":
    script.run(main)
