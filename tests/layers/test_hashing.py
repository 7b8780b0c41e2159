"""Characters by their hashes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.errors import ConfigError
from t2t.layers import LayerConfig
from t2t.layers.hashing import PRIMES, HashedEmbedding, Hashing


def test_each_table_gives_its_slice_of_every_code_point():
    module = HashedEmbedding(LayerConfig(width=6, heads=2, mlp_width=8), Hashing(functions=3, buckets=11), 6)
    tokens = jnp.asarray([[0, 97, 0x10FFFF], [0xE000, 10, 11]])
    variables = nn.meta.unbox(module.init(jax.random.key(0), tokens))
    found = module.apply(variables, tokens)
    for row, column in np.ndindex(2, 3):
        buckets = [(int(tokens[row, column]) + 1) * prime % 11 for prime in PRIMES[:3]]
        expected = np.concatenate([variables["params"][f"table_{i}"][bucket] for i, bucket in enumerate(buckets)])
        np.testing.assert_array_equal(found[row, column], expected)


def test_no_code_point_overflows():
    assert (0x10FFFF + 1) * max(PRIMES) < 2**31


@pytest.mark.parametrize("numbers", [{"functions": 17}, {"functions": 0}, {"buckets": 0}])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ConfigError, match="hashing"):
        Hashing(**numbers)
