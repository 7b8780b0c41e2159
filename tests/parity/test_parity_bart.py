"""Parity of BART and its kin; see `checks.py`."""

from cases.bart import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
