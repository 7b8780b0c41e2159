"""What notebooks and scripts may import stays importable under the same name."""

import re

import t2t
import t2t.inference


def test_the_package():
    assert t2t.__all__ == ["__version__", "load", "pipeline", "save"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", t2t.__version__)


def test_inference():
    assert t2t.inference.__all__ == [
        "DecodeConfig",
        "Evaluation",
        "LabelModel",
        "TextModel",
        "evaluate",
        "load",
        "make_converter",
    ]
    assert all(hasattr(t2t.inference, name) for name in t2t.inference.__all__)
