"""Pipelines give what transformers' give: on the same folders, to the same calls, in the same form."""

import json
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from pipeline_cases import CASES, GOLDEN, put

import t2t


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """case → a folder with model and tokenizer."""

    return lambda name: put(name, tmp_path_factory.mktemp(name))


def called(name, folder, **options):
    """The results of all calls of a case."""
    case, found = CASES[name], []
    made = t2t.pipeline(case.task, folder, **options)
    for given, options in case.calls:
        asked = isinstance(given, dict) and "question" in given
        found.append(made(**given, **options) if asked else made(given, **options))
    return found


def assert_same(found, expected, where=""):
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for i, one in enumerate(expected):
            assert_same(found[i], one, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert isinstance(found, float), where
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-6, err_msg=where)
    else:
        assert found == expected, where


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_results_of_rows_alone_and_in_batches(folder_of, name, batch_size):
    expected = json.loads((GOLDEN / "pipelines" / name / "results.json").read_text(encoding="utf-8"))
    assert_same(called(name, folder_of(name), batch_size=batch_size), expected)


@pytest.mark.pytorch
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.older])
def test_results_live(folder_of, name):
    import pipeline_peer

    folder = folder_of(name)
    pipeline_peer.write(name, folder)
    assert_same(called(name, folder), pipeline_peer.results(name, folder))
