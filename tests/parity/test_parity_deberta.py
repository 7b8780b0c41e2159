"""Parity of DeBERTa, v2 and v3; see `checks.py`."""

from cases.deberta import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
