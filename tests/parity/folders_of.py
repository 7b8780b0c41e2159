"""Where the folders of the cases are, and which ways of stacking layers a case is tried with."""

import pathlib

from t2t import folders

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForMultipleChoice", "Answering", "AnsweringSimple")


def stackings(case) -> tuple[str, ...]:
    """The ways of stacking layers: of heads one, the sooner run, for what comes after the layers does not know of it;
    nor can layers be scanned that share several sets of parameters."""
    if _shares_several_sets(case):
        return ("unrolled",)
    return ("scanned",) if case.class_name.endswith(HEADS) else ("unrolled", "scanned")


def is_compiled(case) -> bool:
    """Whether gradients are those of a compiled program: heads bring nothing that their trunks' programs have not, and
    a program that writes out each layer takes ten times longer to compile."""
    return not (case.class_name.endswith(HEADS) or _shares_several_sets(case))


def _shares_several_sets(case) -> bool:
    return case.settings.get("num_hidden_groups", 1) * case.settings.get("inner_group_num", 1) > 1


def golden(name: str) -> pathlib.Path:
    """The folder that a PyTorch model wrote, with what it gave."""
    assert folders.is_folder(GOLDEN / name), f"no golden folder of {name}: make_golden.py writes it"
    return GOLDEN / name
