"""The tests of `checks.py` on the cases of a file, its `KIN`: on golden folders, and live where PyTorch is there."""

import pytest
from folders_of import golden, stackings

pytest.register_assert_rewrite("checks")


def pytest_generate_tests(metafunc):
    cases = getattr(metafunc.module, "KIN", {})
    if not cases:
        return
    if "generating" in metafunc.fixturenames:
        metafunc.parametrize("generating", [name for name, case in cases.items() if case.generates])
    elif "stacking" in metafunc.fixturenames:
        both = [(name, stacking) for name, case in cases.items() for stacking in stackings(case)]
        metafunc.parametrize(("name", "stacking"), both)
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", list(cases))


@pytest.fixture(scope="module", params=["golden", pytest.param("live", marks=pytest.mark.pytorch)])
def folder_of(request, tmp_path_factory):
    """case → a folder that transformers wrote, with results.npz in it."""
    if request.param == "golden":
        return golden
    import peer

    made: dict = {}

    def live(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            peer.write(name, made[name])
        return made[name]

    return live
