"""ATTENTION.md shows what the code draws and says."""

import doctest


def test_its_examples_are_true(repository):
    failed, tried = doctest.testfile(str(repository / "ATTENTION.md"), module_relative=False)
    assert tried > 10
    assert not failed
