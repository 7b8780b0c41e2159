"""Parity of T5 and mT5; see `checks.py`."""

from cases.t5 import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
