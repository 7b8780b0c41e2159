"""The data pipeline by itself: examples and tokens a second, and how full the batches are.

    python benchmarks/data_pipeline.py --config=configs/demo.py --batches=200

The floor that matters is the model's appetite: compare tokens/s with those of a training step.
"""

import argparse
import dataclasses
import importlib.util
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from launch import script
from t2t.config import build
from t2t.training import RunConfig
from t2t.training.setup import find_tasks, make_loader
from t2t.training.workdir import resolve_vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="configs/demo.py")
    parser.add_argument("--batches", type=int, default=200)
    arguments = parser.parse_args()
    spec = importlib.util.spec_from_file_location("config", arguments.config)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = build(RunConfig, script.plain(module.get_config()))
    shares = find_tasks(config)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = resolve_vocabulary(pathlib.Path(folder), config, [task for task, _ in shares], print)
    print("| workers | packing | examples/s | tokens/s | slots that hold tokens |\n|---|---|---|---|---|")
    for workers in (0, 1, 2):
        for packing in (True, False):
            data = dataclasses.replace(config.data, workers=workers, packing=packing)
            with make_loader(dataclasses.replace(config, data=data), shares, vocabulary, None) as loader:
                next(loader)  # starts the workers
                start, before = time.perf_counter(), dataclasses.replace(loader.statistics)
                for _ in range(arguments.batches):
                    next(loader)
                elapsed, now = time.perf_counter() - start, loader.statistics
                print(
                    f"| {workers} | {packing} | {(now.examples - before.examples) / elapsed:,.0f} | "
                    f"{(now.tokens - before.tokens) / elapsed:,.0f} | {100 * now.efficiency:.0f} % |"
                )


if __name__ == "__main__":
    main()
