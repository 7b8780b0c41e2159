"""Which parameters may be narrow: what modules cast whole before they use it, and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from t2t import families
from t2t.models import abstract_params, cast_matrices

SMALL = {"vocab_size": 11, "width": 8, "heads": 2, "head_width": 4, "mlp_width": 16}


@pytest.mark.parametrize("name", ["bert_base", "gpt2_small", "t5_v1_1_small"])
def test_only_what_modules_cast_whole_is_cast(name):
    config = dataclasses.replace(families.get(name), **SMALL)
    shapes = nn.meta.unbox(abstract_params(config))
    cast = jax.eval_shape(lambda params: cast_matrices(params, jnp.bfloat16), shapes)
    kinds = {jax.tree_util.keystr(path): x.dtype for path, x in jax.tree_util.tree_leaves_with_path(cast)}
    assert {jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float32)} == set(kinds.values())
    for path, dtype in kinds.items():
        narrow = path.endswith("['kernel']") or path.endswith("okens']['table']")
        assert dtype == (jnp.bfloat16 if narrow else jnp.float32), path
