"""A bias of the distance alone is the same made for offsets as by itself, and its gradient too."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.attention import attend, bidirectional, causal, local, planned, prefix, strided
from t2t.attention.kernels import gathered, offset_bias, regular
from t2t.attention.kernels.offset_bias import OffsetBias, ShiftBias
from t2t.attention.plan import plan
from t2t.layers.positions import RelativeBias

H, FAR, N, LONG = 2, 20, 700, 1500


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
    made = OffsetBias.of(bias, tiling, turned=turned)
    offsets = np.asarray([tile * tiling.query_tile - start for tile, start in tiling.slices()])
    away = offsets[:, None, None] + np.arange(tiling.query_tile)[:, None] - np.arange(tiling.key_tile)
    wanted = bias.of_distances(jnp.asarray(away))
    np.testing.assert_array_equal(made.of_tiles(jnp.asarray(offsets)), wanted)
    np.testing.assert_array_equal(made.of_tiles(jnp.asarray(offsets[-1]))[:, 0], wanted[:, -1])
    if kind is ToFar:
        assert -(FAR + tiling.query_tile) < made.offsets[0]
        assert made.offsets[-1] < FAR + tiling.key_tile


@pytest.mark.parametrize("turned", [False, True])
def test_what_tiles_give_back_comes_where_they_took_it(turned):
    (piece,) = plan(causal(), N, N)
    tiling = piece.tiling
    made = OffsetBias.of(OfDistances(normal(H, 2 * N + 1)), tiling, turned=turned)
    offsets = jnp.asarray([tile * tiling.query_tile - start for tile, start in tiling.slices()][:5], jnp.int32)
    more = normal(H, len(offsets), tiling.query_tile, tiling.key_tile, seed=1)
    _, back = jax.vjp(lambda made: made.of_tiles(offsets), made)
    wanted = made.array + back(more)[0].array
    np.testing.assert_allclose(made.add(offsets, more).array, wanted, atol=1e-5)
    for i, offset in enumerate(offsets):
        made = made.add(offset, more[:, i : i + 1])
    np.testing.assert_allclose(made.array, wanted, atol=1e-5)


@pytest.mark.parametrize("pattern", [causal(), bidirectional(), ~local(300), causal() & local(700)])
def test_items_beyond_the_reach_are_runs_with_one_number_a_head(pattern):
    (piece,) = plan(pattern, LONG, LONG)
    tiling = piece.tiling
    made = OffsetBias.of(ToFar(normal(H, 2 * N + 1)), tiling, turned=False)
    runs = made.runs(tiling)
    seen = np.zeros(tiling.items, int)
    for kind, begin, end in runs:
        for tile in range(tiling.tiles):
            for item in range(begin[tile], end[tile]):
                seen[item] += 1
                assert tiling.offsets[tile] <= item < tiling.offsets[tile + 1]
                offset = tile * tiling.query_tile - tiling.starts[item]
                away = offset + np.arange(tiling.query_tile)[:, None] - np.arange(tiling.key_tile)
                assert (np.abs(away).min() >= FAR and len(set(np.sign(away).flat)) == 1) == isinstance(kind, ShiftBias)
                if isinstance(kind, ShiftBias):
                    np.testing.assert_array_equal(kind.array, made.of_tiles(jnp.asarray(offset))[:, 0, 0, 0])
    assert (seen == 1).all()
    assert any(isinstance(kind, ShiftBias) for kind, _, _ in runs)


def test_of_many_offsets_every_tile_makes_its_own(monkeypatch):
    monkeypatch.setattr(offset_bias, "MOST_OFFSETS", 1)
    (piece,) = plan(causal(), N, N)
    assert OffsetBias.of(OfDistances(normal(H, 2 * N + 1)), piece.tiling, turned=False) is None
    test_t5s_bias_is_that_of_all_logits_at_once("of CPUs", causal(), monkeypatch)


@pytest.mark.parametrize("pattern", [causal(), bidirectional()])
def test_groups_of_heads_have_the_bias_of_theirs(pattern, monkeypatch):
    monkeypatch.setitem(planned.AT_ONCE, "cpu", 1)
    monkeypatch.setattr(jax, "device_count", lambda: 1)  # or eight devices would share two heads
    test_t5s_bias_is_that_of_all_logits_at_once("of CPUs", pattern, monkeypatch)


@pytest.mark.parametrize("kernels", ["of CPUs", "of GPUs"])
@pytest.mark.parametrize(
    "pattern",
    [causal(), bidirectional(), prefix(300), causal() & (local(40) | strided(40)), [causal(), causal() & local(9)]],
)
def test_t5s_bias_is_that_of_all_logits_at_once(kernels, pattern, monkeypatch):
    if kernels == "of GPUs":

        def kernel(piece, *_):
            return gathered if piece.tiling.regular is None else regular, 2**18

        monkeypatch.setattr(planned, "_kernel", kernel)
    query, key, value, weight = (normal(1, LONG, H, 8, seed=seed) for seed in range(4))
    table = normal(H, 16, seed=4)

    def total(table, implementation):
        bias = RelativeBias(table, pattern == bidirectional(), FAR)
        out = attend(query, key, value, pattern=pattern, bias=bias, implementation=implementation)
        return (out * weight).sum(), out

    (_, out), gradient = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=1)(table, "tiles")
    (_, wanted), of_table = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=1)(table, "reference")
    np.testing.assert_allclose(out, wanted, atol=2e-5)
    np.testing.assert_allclose(gradient, of_table, atol=2e-4 * float(jnp.abs(of_table).max()))
