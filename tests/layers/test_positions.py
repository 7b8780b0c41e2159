"""T5's relative buckets at their golden values, and sinusoids as the paper writes them."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from t2t.errors import ConfigError
from t2t.layers import LayerConfig
from t2t.layers.positions import PositionEmbedding, RelativeBias, relative_bucket, sinusoids

DISTANCES = [0, 1, 7, 8, 9, 11, 12, 15, 16, 23, 31, 32, 63, 64, 90, 91, 127, 128, 1000]


def test_golden_buckets():
    both = relative_bucket(np.asarray(DISTANCES), bidirectional=True)
    np.testing.assert_array_equal(both, [0, 1, 7, 8, 8, 8, 9, 9, 10, 11, 11, 12, 13, 14, 14, 15, 15, 15, 15])
    np.testing.assert_array_equal(relative_bucket(-np.asarray(DISTANCES[1:]), bidirectional=True), both[1:] + 16)
    np.testing.assert_array_equal(
        relative_bucket(np.asarray(DISTANCES), bidirectional=False),
        [0, 1, 7, 8, 9, 11, 12, 15, 16, 18, 21, 21, 26, 26, 29, 29, 31, 31, 31],
    )
    assert (relative_bucket(np.asarray([-1, -50]), bidirectional=False) == 0).all()


def test_a_bias_is_the_table_at_the_buckets():
    table = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    bias = RelativeBias(table, True, 20)
    positions = np.arange(5)
    found = np.asarray(bias(positions, positions))
    assert found.shape == (1, 2, 5, 5)
    buckets = relative_bucket(positions[:, None] - positions[None, :], bidirectional=True, buckets=8, max_distance=20)
    np.testing.assert_array_equal(found[0], table[:, buckets])
    np.testing.assert_array_equal(np.asarray(bias(positions[None], positions[None])), found)


def test_sinusoids_have_sines_first():
    table = sinusoids(7, 6)
    for position in range(7):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            np.testing.assert_allclose(table[position, [i, 3 + i]], [np.sin(angle), np.cos(angle)], atol=1e-6)


def test_places_in_a_grid_add_the_tables_of_its_sides():
    config = LayerConfig(width=6, heads=2, mlp_width=8, positions="learned", position_grid=(2, 3, 2), init="normal")
    module, x = PositionEmbedding(config, 11), np.zeros((1, 11, 6), np.float32)
    variables = nn.meta.unbox(module.init(jax.random.key(0), x, None))
    tables = [np.asarray(variables["params"][f"table_{axis}"]) for axis in range(3)]
    assert [len(table) for table in tables] == [2, 3, 2]
    wanted = np.stack([tables[0][i // 6] + tables[1][i // 2 % 3] + tables[2][i % 2] for i in range(11)])
    np.testing.assert_allclose(module.apply(variables, x, None)[0], wanted, atol=1e-7)
    positions = np.asarray([[7, 0, 10]])
    np.testing.assert_allclose(module.apply(variables, x[:, :3], positions)[0], wanted[positions[0]], atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_width": 0}, "value_width: expected at least 1, found 0"),
        ({"position_grid": (2, 3)}, "position_grid: expected .* positions 'learned', found .* positions 'sinusoidal'"),
        ({"position_grid": (0, 3), "positions": "learned"}, "position_grid: expected sides of at least 1"),
        ({"width": 10, "heads": 3}, "width 10 is not divisible by heads 3"),
        ({"dropout": 1.0}, "dropout: expected a rate"),
        ({"width": 9, "heads": 3, "positions": "sinusoidal"}, "need an even width"),
        ({"positions": "relative_bias", "relative_buckets": 3}, "relative_buckets"),
        ({"mlp_width": 0}, "mlp_width: expected at least 1"),
    ],
)
def test_impossible_layers_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LayerConfig(**{"width": 8, "heads": 2, "mlp_width": 8, **change})
