"""Parity of XLNet; see `checks.py`."""

from cases.xlnet import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
