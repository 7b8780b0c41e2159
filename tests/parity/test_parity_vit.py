"""Parity of ViT and captioning; see `checks.py`."""

from cases.vit import CASES as KIN  # noqa: F401  what the checks run on
from checks import *  # noqa: F403
