"""The models that are held against Hugging Face's: a class and its config, and inputs; folders and results are the
peer's. One file for each kin, with a table of its cases."""

import numpy as np

from cases import bart, bert, canine, deberta, gpt, long, t5, vit, xlnet
from cases.case import VOCABULARY, Arrays, Case

__all__ = ["CASES", "VOCABULARY", "Case", "arguments"]

_KIN = (t5, gpt, bart, bert, deberta, long, xlnet, canine, vit)
CASES: dict[str, Case] = {name: case for kin in _KIN for name, case in kin.CASES.items()}


def arguments(name: str) -> Arrays:
    """What a case is called with, drawn anew and always the same."""
    case = CASES[name]
    return case.arguments(np.random.default_rng(sum(map(ord, name))), case.settings)
