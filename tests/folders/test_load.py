"""How a folder comes into memory: what modules would narrow narrow, where that is asked."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import t2t
from t2t import families, folders, models
from t2t.errors import ConfigError

GPT2 = pathlib.Path(__file__).resolve().parent.parent / "golden" / "gpt2"


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


def test_a_trunk_that_has_no_labels_may_leave_their_number_open(tmp_path):
    """A pre-training config made from that of a task, whose number of labels a run would fill in."""
    config = dataclasses.replace(
        families.get("bert_base"),
        vocab_size=11,
        width=8,
        heads=2,
        head_width=4,
        mlp_width=16,
        encoder_layers=1,
        max_length=16,
        labels=0,
    )
    params = nn.meta.unbox(models.build(config).init(jax.random.key(0), models.dummy_batch(config))["params"])
    folders.save(tmp_path, config, params, family="bert")
    assert t2t.load(tmp_path).config.outputs == config.outputs
