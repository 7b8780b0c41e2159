"""Parity of BERT and its kin; see `checks.py`."""

from cases.bert import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
