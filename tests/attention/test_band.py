"""A bias of the distance alone is the same from a band as by itself, wherever a tile stands, and so is its gradient."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import attend, bidirectional, causal, local, planned, prefix, strided
from t2t.attention.kernels import gathered
from t2t.attention.kernels.band import Band
from t2t.attention.plan import plan
from t2t.layers.positions import RelativeBias

H, FAR, N = 2, 20, 700


@flax.struct.dataclass
class OfDistances:
    """A number for each distance, so that no two are alike."""

    table: jax.Array  # [h distances], of −N … N

    def __call__(self, query, key):
        return jnp.moveaxis(self.of_distances(query[:, :, None] - key[:, None]), 0, 1)

    def of_distances(self, distance):
        return jnp.take(self.table, jnp.clip(distance, -N, N) + N, axis=1)


@flax.struct.dataclass
class ToFar(OfDistances):
    """The same up to `FAR`, and from there on what it is there."""

    max_distance: int = flax.struct.field(pytree_node=False, default=FAR)

    def of_distances(self, distance):
        return super().of_distances(jnp.clip(distance, -FAR, FAR))


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("pattern", [causal(), bidirectional(), causal() & local(33), ~local(300)])
@pytest.mark.parametrize("kind", [OfDistances, ToFar])
@pytest.mark.parametrize("turned", [False, True])
def test_each_tile_has_the_bias_of_its_distances(pattern, kind, turned):
    bias = kind(normal(H, 2 * N + 1))
    (piece,) = plan(pattern, N, N)
    tiling = piece.tiling
    band = Band.of(bias, tiling, turned=turned)
    offsets = np.asarray([tile * tiling.query_tile - start for tile, start in tiling.slices()])
    away = offsets[:, None, None] + np.arange(tiling.query_tile)[:, None] - np.arange(tiling.key_tile)
    wanted = bias.of_distances(jnp.asarray(away))
    np.testing.assert_array_equal(band.of_tiles(jnp.asarray(offsets)), wanted)
    np.testing.assert_array_equal(band.of_tiles(jnp.asarray(offsets[-1]))[:, 0], wanted[:, -1])
    if kind is ToFar:
        q, m = tiling.query_tile, tiling.key_tile
        assert band.array.shape[2] < 2 * FAR + q + m + (q if turned else m)


@pytest.mark.parametrize("turned", [False, True])
def test_what_tiles_give_back_comes_where_they_took_it(turned):
    (piece,) = plan(causal(), N, N)
    tiling = piece.tiling
    band = Band.of(OfDistances(normal(H, 2 * N + 1)), tiling, turned=turned)
    offsets = jnp.asarray([tile * tiling.query_tile - start for tile, start in tiling.slices()][:5], jnp.int32)
    more = normal(H, len(offsets), tiling.query_tile, tiling.key_tile, seed=1)
    _, back = jax.vjp(lambda band: band.of_tiles(offsets), band)
    wanted = band.array + back(more)[0].array
    np.testing.assert_allclose(band.add(offsets, more).array, wanted, atol=1e-5)
    for i, offset in enumerate(offsets):
        band = band.add(offset, more[:, i : i + 1])
    np.testing.assert_allclose(band.array, wanted, atol=1e-5)


@pytest.mark.parametrize("kernels", ["of CPUs", "gathered"])
@pytest.mark.parametrize(
    "pattern",
    [causal(), bidirectional(), prefix(300), causal() & (local(40) | strided(40)), [causal(), causal() & local(9)]],
)
def test_t5s_bias_is_that_of_all_logits_at_once(kernels, pattern, monkeypatch):
    if kernels == "gathered":
        monkeypatch.setattr(planned, "_kernel", lambda *_: (gathered, 2**18))
    query, key, value, weight = (normal(1, N, H, 8, seed=seed) for seed in range(4))
    table = normal(H, 16, seed=4)

    def total(table, implementation):
        bias = RelativeBias(table, pattern == bidirectional(), FAR)
        out = attend(query, key, value, pattern=pattern, bias=bias, implementation=implementation)
        return (out * weight).sum(), out

    (_, out), gradient = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=1)(table, "tiles")
    (_, wanted), of_table = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=1)(table, "reference")
    np.testing.assert_allclose(out, wanted, atol=2e-5)
    np.testing.assert_allclose(gradient, of_table, atol=2e-4 * float(jnp.abs(of_table).max()))
