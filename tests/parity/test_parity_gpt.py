"""Parity of GPT; see `checks.py`."""

from cases.gpt import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
