"""How a folder comes into memory: turned tensors whole, and what modules would narrow narrow, where that is asked."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import t2t
from t2t.errors import ConfigError
from t2t.families.rows import ROWS_AT_ONCE, Layout

GPT2 = pathlib.Path(__file__).resolve().parent.parent / "golden" / "gpt2"


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 3 * ROWS_AT_ONCE + 5])
def test_a_turned_tensor_is_read_whole(rows):
    tensor = np.arange(rows * 7, dtype=np.float32).reshape(rows, 7)
    found = np.full((7, rows), np.nan, np.float32)
    Layout("kernel").read(tensor, found)
    np.testing.assert_array_equal(found, tensor.T)


def test_narrow_parameters_compute_the_same():
    wide = t2t.load(GPT2, dtype="bfloat16")
    narrow = t2t.load(GPT2, dtype="bfloat16", param_dtype="bfloat16")
    kinds = {jax.tree_util.keystr(path): x.dtype for path, x in jax.tree_util.tree_leaves_with_path(narrow.params)}
    assert {kind for path, kind in kinds.items() if "kernel" in path} == {jnp.dtype(jnp.bfloat16)}
    assert {kind for path, kind in kinds.items() if "norm" in path} == {jnp.dtype(jnp.float32)}
    ids = np.array([[5, 3, 9, 2]])
    np.testing.assert_array_equal(narrow(input_ids=ids).logits, wide(input_ids=ids).logits)
    with pytest.raises(ConfigError, match="param_dtype: expected float32 or bfloat16, found 'float16'"):
        t2t.load(GPT2, param_dtype="float16")
