"""Images as patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from t2t.errors import ConfigError, DataError
from t2t.layers import LayerConfig
from t2t.layers.patches import PatchEmbedding, Patches, cubic, stretched

CONFIG = LayerConfig(width=6, heads=2, mlp_width=8)


def test_patches_are_a_strided_convolution_and_what_is_left_of_a_side_is_not_seen():
    patches = Patches(image=(7, 9), patch=(2, 4), channels=2)
    assert patches.grid == (3, 2)
    assert patches.length == 7
    module = PatchEmbedding(CONFIG, patches, 6)
    pixels = jax.random.normal(jax.random.key(0), (3, 7, 9, 2))
    variables = nn.meta.unbox(module.init(jax.random.key(1), pixels))
    kernel = variables["params"]["patches"]["kernel"]
    convolved = jax.lax.conv_general_dilated(
        pixels, kernel, (2, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = module.apply(variables, pixels)
    np.testing.assert_allclose(found[:, 1:], convolved.reshape(3, 6, 6), atol=1e-6)
    np.testing.assert_array_equal(found[:, 0], jnp.broadcast_to(variables["params"]["whole"], (3, 6)))


@pytest.mark.parametrize("shape", [(1, 7, 9, 3), (1, 2, 7, 9), (1, 8, 9, 2), (7, 9, 2)])
def test_other_images_are_refused(shape):
    with pytest.raises(DataError, match="encoder_pixels"):
        Patches(image=(7, 9), patch=(2, 4), channels=2, interpolate=False).check(shape)


def test_positions_stretch_only_where_they_may():
    Patches(image=(7, 9), patch=(2, 4), channels=2).check((1, 8, 12, 2))
    with pytest.raises(DataError, match="hold no patch"):
        Patches(image=(7, 9), patch=(2, 4), channels=2).check((1, 8, 3, 2))


@pytest.mark.parametrize("sides", [{"patch": (8, 8)}, {"patch": (0, 1)}, {"channels": 0}])
def test_what_holds_no_patch_is_refused(sides):
    with pytest.raises(ConfigError, match="patches"):
        Patches(**{"image": (7, 9), "patch": (2, 4)} | sides)


@pytest.mark.parametrize(("old", "new"), [(4, 4), (4, 7), (7, 3), (1, 5)])
def test_weights_of_a_cubic_convolution(old, new):
    weights = cubic(old, new)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-6)  # left and right are alike
    if old == new:
        np.testing.assert_array_equal(weights, np.eye(old))


def test_the_token_in_front_keeps_its_position():
    table = jax.random.normal(jax.random.key(0), (1 + 6, 4))
    found = stretched(table, (2, 3), (4, 5))
    assert found.shape == (1 + 20, 4)
    np.testing.assert_array_equal(found[0], table[0])
    np.testing.assert_array_equal(stretched(table, (2, 3), (2, 3)), table)
