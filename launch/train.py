"""Trains a run, or goes on with it: the same command continues where it stopped.

python launch/train.py --config=configs/demo.py --workdir=runs/demo
python launch/train.py --config=configs/finetune.py --config.data.train=pairs.tsv --workdir=runs/mine
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from launch import script

_CONFIG = script.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.")
_COORDINATOR = flags.DEFINE_string(
    "coordinator", "", "Several hosts: HOST:PORT of process 0. TPU slices need none of these."
)
_PROCESSES = flags.DEFINE_integer("processes", 0, "Several hosts: how many processes.")
_PROCESS_ID = flags.DEFINE_integer("process_id", -1, "Several hosts: which process this is.")


def main(argv: list[str]) -> None:
    script.need(workdir=_WORKDIR.value)
    values = script.config_dict(_CONFIG)
    from configs import base
    from t2t import training
    from t2t.config import build

    training.initialise(_COORDINATOR.value, _PROCESSES.value, _PROCESS_ID.value)
    script.use_compilation_cache()
    config = build(training.RunConfig, values)
    recipe = build(training.RunConfig, script.plain(base.get_config()))
    try:
        training.train(config, _WORKDIR.value, base=recipe)
    except training.Interrupted as interrupted:
        print(f"\nThe run was {interrupted}.", file=sys.stderr)
        sys.exit(128 + interrupted.number)


if __name__ == "__main__":
    script.run(main)
