"""How tensors lie in files beside the parameters that they are, in more rows than are turned together."""

import jax.numpy as jnp
import numpy as np
import pytest

from t2t.families.rows import PIECE, STRIP, Layout


def split_kernel(tensor, parts, i):
    """PyTorch's: a projection's rows, chunked."""
    return np.split(tensor, parts)[i].T


def split_heads(tensor, parts, i, heads=3):
    """DeBERTa's: each head's rows, chunked within the head."""
    return np.concatenate([np.split(head, parts)[i] for head in np.split(tensor, heads)]).T


WIDTH = 3 * (STRIP + 5)  # of what comes out, in three heads
CASES = {
    "kernel": (Layout("kernel"), (WIDTH, 7), (7, WIDTH), lambda t: t.T),
    "from heads": (Layout("kernel", inward=2), (WIDTH, 6), (2, 3, WIDTH), lambda t: t.T.reshape(2, 3, WIDTH)),
    "into heads": (Layout("kernel"), (WIDTH, 7), (7, 3, WIDTH // 3), lambda t: t.T.reshape(7, 3, -1)),
    "a part": (Layout("kernel", part=(1, 3)), (3 * WIDTH, 7), (7, 3, WIDTH // 3),
               lambda t: split_kernel(t, 3, 1).reshape(7, 3, -1)),
    "a part of each head": (Layout("heads", part=(1, 3)), (3 * WIDTH, 7), (7, 3, WIDTH // 3),
                            lambda t: split_heads(t, 3, 1).reshape(7, 3, -1)),
    "a part, not turned": (Layout("kernel", transposed=False, part=(2, 3)), (7, 3 * WIDTH), (7, WIDTH),
                           lambda t: np.split(t, 3, axis=1)[2]),
    "the same, in pieces": (Layout(), (PIECE // 1000 * 2 + 1, 1000), (PIECE // 1000 * 2 + 1, 1000), lambda t: t),
    "the same, one row after the other": (Layout(), (3, PIECE + 1), (3, PIECE + 1), lambda t: t),
    "last first": (Layout("last_first"), (WIDTH, 2, 5), (2, 5, WIDTH), lambda t: t.transpose(1, 2, 0)),
    "convolution": (Layout("convolution"), (WIDTH, 5, 2, 3), (2, 3, 5, WIDTH), lambda t: t.transpose(2, 3, 1, 0)),
    "flat": (Layout("flat"), (WIDTH,), (3, WIDTH // 3), lambda t: t.reshape(3, -1)),
    "lead": (Layout(lead=2), (1, 1, WIDTH), (WIDTH,), lambda t: t[0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_a_parameter_is_read_from_its_tensor_and_written_back(case, dtype):
    layout, theirs, ours, expected = CASES[case]
    tensor = np.random.default_rng(0).standard_normal(theirs).astype(dtype)
    found, back = np.full(ours, np.nan, np.float32), np.full(theirs, np.nan, dtype)
    layout.read(tensor, found)
    np.testing.assert_array_equal(found, expected(tensor).astype(np.float32))
    layout.write(found, back)
    its_own = ~np.isnan(back.astype(np.float32))
    assert its_own.sum() == found.size
    np.testing.assert_array_equal(back[its_own], tensor[its_own])


@pytest.mark.parametrize("rows", [1, STRIP - 1, STRIP, 3 * STRIP + 5])
def test_strips_are_whole_whatever_the_rows(rows):
    tensor = np.arange(rows * 7, dtype=np.float32).reshape(rows, 7)
    found = np.full((7, rows), np.nan, np.float32)
    Layout("kernel").read(tensor, found)
    np.testing.assert_array_equal(found, tensor.T)
