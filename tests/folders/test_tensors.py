"""Tensors by their places in files, and files that are asked for before they are read."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from t2t.errors import CheckpointError
from t2t.folders import ahead, tensors
from t2t.folders.ahead import Ahead


@pytest.fixture
def stored(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {
        "matrix": generator.standard_normal((5, 3, 2), np.float32),
        "scalar": np.float32([2.5]).reshape(()),
        "empty": np.zeros((0, 3), np.float32),
        "half": np.arange(6, dtype=np.float16),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    return tmp_path, arrays


def test_tensors_are_read_whole_and_in_slices(stored):
    folder, arrays = stored
    found = tensors.Tensors(folder)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        with found[name] as tensor:
            assert (tensor.shape, found.shape(name), tensor.dtype) == (array.shape, array.shape, array.dtype)
            np.testing.assert_array_equal(tensor[:], array)
    with found["matrix"] as tensor:
        for start, stop in ((0, 2), (2, 5), (4, 9), (1, 1)):
            np.testing.assert_array_equal(tensor[start:stop], arrays["matrix"][start:stop])


def test_a_file_that_becomes_shorter(stored):
    folder, arrays = stored
    found = tensors.Tensors(folder)
    file = folder / "model.safetensors"
    last = max(arrays, key=lambda name: found.place(name)[1])
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)
    with found[last] as tensor, pytest.raises(CheckpointError, match=r"model.safetensors became shorter while it was"):
        tensor[:]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system cannot be asked to read ahead")
def test_each_byte_is_asked_for_once_and_no_further_than_the_window(tmp_path, monkeypatch):
    sizes = (1000, 0, 2500, 700)
    files = [tmp_path / f"{i}" for i in range(len(sizes))]
    for file, size in zip(files, sizes):
        file.write_bytes(bytes(size))
    asked = []  # first bytes, of all files

    def advise(descriptor, start, length, advice):
        file = next(i for i, f in enumerate(files) if f.stat().st_ino == os.fstat(descriptor).st_ino)
        assert (length, advice) == (300, os.POSIX_FADV_WILLNEED)
        asked.append(sum(sizes[:file]) + start)

    monkeypatch.setattr(ahead.os, "posix_fadvise", advise)
    monkeypatch.setattr(ahead, "WINDOW", 1200)
    monkeypatch.setattr(ahead, "CHUNK", 300)
    ours = Ahead(files)
    ours.reach(files[0], 0)
    assert asked == [0, 300, 600, 900, 1000]
    ours.reach(files[0], 100)
    assert asked[5:] == [1200]  # on from the end of the window
    ours.reach(files[3], 600)
    assert asked[6:] == [*range(1300, 3500, 300), 3500, 3800, 4100]
    ours.reach(files[2], 0)
    ours.reach(files[3], 700)
    assert len(asked) == 6 + 8 + 3
