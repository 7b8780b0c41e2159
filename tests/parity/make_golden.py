"""Writes tests/golden/<case>.npz: what `peer.run` gives, for the tests that run without PyTorch.

PYTHONPATH=.:tests/parity python tests/parity/make_golden.py      (with the `parity` extra installed)
"""

import pathlib

import numpy as np
import peer
from reference import CASES

if __name__ == "__main__":
    folder = pathlib.Path(__file__).resolve().parent.parent / "golden"
    folder.mkdir(exist_ok=True)
    for case in CASES:
        np.savez_compressed(folder / f"{case}.npz", **peer.run(case))
        print(case, (folder / f"{case}.npz").stat().st_size)
