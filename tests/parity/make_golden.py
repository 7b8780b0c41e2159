"""Writes tests/golden/<case>/: what `peer.write` gives, for the tests that run without PyTorch.

PYTHONPATH=.:tests/parity python tests/parity/make_golden.py [CASE …]      (with the `parity` extra installed)
"""

import pathlib
import sys

import peer
from cases import CASES

if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        folder = pathlib.Path(__file__).resolve().parent.parent / "golden" / case
        folder.mkdir(parents=True, exist_ok=True)
        peer.write(case, folder)
        print(case, sum(p.stat().st_size for p in folder.iterdir()))
