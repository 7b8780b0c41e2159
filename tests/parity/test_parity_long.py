"""Parity of long texts; see `checks.py`."""

from cases.long import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
