"""From tokens to molecules and back, beside loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.errors import ConfigError, DataError
from t2t.layers import LayerConfig
from t2t.layers.molecules import Downsampling, Molecules, Upsampling

CONFIG = LayerConfig(width=4, heads=2, mlp_width=8, activation="relu")


def drawn(module, *inputs):
    variables = nn.meta.unbox(module.init(jax.random.key(0), *inputs))
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(tree, [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves)])


def normed(x, params):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6) * params["scale"] + params["bias"]


@pytest.mark.parametrize(("n", "rate"), [(9, 3), (11, 3), (5, 4), (4, 1)])
def test_molecules_join_tokens(n, rate):
    module, x = Downsampling(CONFIG, Molecules(rate=rate)), jax.random.normal(jax.random.key(2), (2, n, 4))
    variables = drawn(module, x)
    params, rows = variables["params"], np.asarray(x)
    molecules = [rows[:, 0]]  # the first token stays itself; the last molecule is left out for it
    for i in range(n // rate - 1):
        joined = np.einsum("brd,rde->be", rows[:, i * rate : (i + 1) * rate], params["convolution"]["kernel"])
        molecules.append(np.maximum(joined + params["convolution"]["bias"], 0.0))
    expected = normed(np.stack(molecules, axis=1), params["norm"])
    np.testing.assert_allclose(module.apply(variables, x), expected, atol=1e-5)


@pytest.mark.parametrize(("n", "rate", "kernel"), [(9, 3, 4), (11, 3, 5), (5, 4, 1), (4, 1, 2)])
def test_tokens_hear_the_molecule_that_they_are_in(n, rate, kernel):
    module, keys = Upsampling(CONFIG, Molecules(rate=rate, kernel=kernel)), jax.random.split(jax.random.key(3))
    x, told = jax.random.normal(keys[0], (2, n, 4)), jax.random.normal(keys[1], (2, n // rate, 4))
    variables = drawn(module, x, told)
    params = variables["params"]
    repeated = [told[:, i // rate + 1] if i // rate + 1 < n // rate else told[:, -1] for i in range(n)]
    both = np.concatenate([x, np.stack(repeated, axis=1)], axis=-1)
    spread = np.zeros((2, n, 4)) + np.asarray(params["convolution"]["bias"])
    for i in range(n):
        for k in range(kernel):
            j = i + k - (kernel - 1) // 2
            if 0 <= j < n:
                spread[:, i] += both[:, j] @ np.asarray(params["convolution"]["kernel"])[k]
    expected = normed(np.maximum(spread, 0.0), params["norm"])
    np.testing.assert_allclose(module.apply(variables, x, told), expected, atol=1e-4)


def test_a_molecule_is_padding_where_all_its_tokens_are():
    segments = jnp.asarray([[1, 1, 1, 1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 2, 2, 2, 2]])
    found = Downsampling(CONFIG, Molecules(rate=2)).segments(segments)
    np.testing.assert_array_equal(found, [[1, 1, 0, 0], [0, 0, 2, 2]])


def test_fewer_tokens_than_a_molecule_has_are_refused():
    with pytest.raises(DataError, match="at least rate 4"):
        Downsampling(CONFIG, Molecules()).init(jax.random.key(0), jnp.zeros((1, 3, 4)))


def test_impossible_numbers_are_refused():
    with pytest.raises(ConfigError, match="molecules"):
        Molecules(rate=0)
