"""Parity of CANINE; see `checks.py`."""

from cases.canine import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
