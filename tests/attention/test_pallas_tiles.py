"""The TPU kernel of tiles, in interpret mode and lowered for a TPU that is not there."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_conformance import B, H, K, arrays, close, exact, outcome, packed

from t2t.attention import attend, big_bird, blocks, causal, fixed, global_tokens, local, planned, strided, where
from t2t.attention.kernels import aligned, gathered, looped, pallas_tiles, regular
from t2t.attention.kernels.tiles import MASKED, Operands, Rule, Side
from t2t.attention.plan import plan
from t2t.attention.tiling import Tiling

N = 300  # positions: three blocks, the last of them short
CAUSAL = causal()
PATTERNS = {
    "causal": CAUSAL,
    "fixed": CAUSAL & fixed(16, 4),
    "longformer": local(40) | global_tokens(3),
    "strided columns": CAUSAL & strided(3),
    # Blocks here and there, as in BigBird, by arithmetic; the first queries see nothing, and the last keys nobody sees.
    "scattered blocks": where(lambda i, j: ((i // 16 * 7 + j // 16 * 11) % 5 == 1) & (i > j + 130) & (j < 120)),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """The smallest blocks, of which even short rows have several."""
    monkeypatch.setattr(aligned, "SIZES", (128,))
    aligned.aligned.cache_clear()
    yield
    aligned.aligned.cache_clear()


@pytest.fixture
def interpreted(small_blocks, monkeypatch):
    """All pieces by the kernel, in interpret mode."""
    forward, backward = (functools.partial(f, interpret=True) for f in (pallas_tiles.forward, pallas_tiles.backward))
    kernel = types.SimpleNamespace(forward=forward, backward=backward)
    monkeypatch.setattr(planned, "_kernel", lambda *_: (kernel,))


@pytest.fixture
def on_a_tpu(monkeypatch):
    """Programs are traced as on a machine with one TPU v5e."""
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    pallas_tiles.lowers.cache_clear()
    with jax.sharding.use_abstract_mesh(mesh(())):
        yield
    pallas_tiles.lowers.cache_clear()


def mesh(axes):
    device = jax.sharding.AbstractDevice(device_kind="TPU v5 lite", num_cores=1, platform="tpu")
    auto = (jax.sharding.AxisType.Auto,) * len(axes)
    return jax.sharding.AbstractMesh((2,) * len(axes), axes, axis_types=auto, abstract_device=device)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "float32") for name in PATTERNS]
    + [("causal", "bfloat16"), ("causal", "packed"), ("longformer", "packed"), ("strided columns", "packed")],
)
def test_equals_masked_dense_attention_in_float64(name, kind, interpreted):
    pattern = PATTERNS[name]
    dtype, tolerance = (jnp.bfloat16, 3e-2) if kind == "bfloat16" else (jnp.float32, 3e-6)
    q, k, v, weight = arrays(N, N, dtype)
    allowed, keywords = np.broadcast_to(pattern.mask(N), (B, 1, N, N)), {}
    if kind == "packed":
        s = packed(N)
        allowed = allowed & (s[:, None, :, None] == s[:, None, None, :]) & (s > 0)[:, None, None, :]
        keywords = {"query_segments": jnp.asarray(s), "key_segments": jnp.asarray(s)}
    out, gradients = outcome("tiles", q, k, v, weight, pattern=pattern, **keywords)
    assert out.dtype == dtype
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    close(out, wanted, tolerance)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, tolerance)
    blind = ~np.broadcast_to(allowed.any(-1), (B, H, N))
    assert blind.any() == (kind == "packed" or name == "scattered blocks")
    assert (np.asarray(out, np.float32).transpose(0, 2, 1, 3)[blind] == 0).all()


@pytest.mark.parametrize(("n", "m"), [(1, 130), (259, 65)])
def test_odd_lengths_and_positions_in_arrays(n, m, interpreted):
    generator = np.random.default_rng(0)
    places = [np.stack([generator.permutation(400)[:length] for _ in range(B)]) for length in (n, m)]
    q, k, v, weight = arrays(n, m)
    keywords = dict(zip(("query_positions", "key_positions"), map(jnp.asarray, places)))
    out, gradients = outcome("tiles", q, k, v, weight, pattern=CAUSAL, **keywords)
    allowed = CAUSAL.allows(places[0][:, None, :, None], places[1][:, None, None, :])
    wanted, wanted_gradients, _ = exact(q, k, v, weight, allowed, K**-0.5)
    close(out, wanted, 3e-6)
    for found, expected in zip(gradients, wanted_gradients):
        close(found, expected, 3e-6)


@pytest.mark.parametrize("sizes", [(128,), aligned.SIZES])
@pytest.mark.parametrize("n", [40, N, 2100])
@pytest.mark.parametrize("name", [*PATTERNS, "big bird"])
def test_aligned_blocks_hold_each_pair_of_a_tiling_once(name, n, sizes, monkeypatch):
    monkeypatch.setattr(aligned, "SIZES", sizes)
    pattern = PATTERNS.get(name) or big_bird(16, n, random=2)
    for piece in plan(pattern, n, n):
        query, key = piece.queries.positions, piece.keys.positions
        covered = aligned.aligned.__wrapped__(piece.tiling, len(query), len(key))
        wanted, found = (np.zeros((covered.queries, covered.keys), int) for _ in range(2))
        q, m = piece.tiling.query_tile, piece.tiling.key_tile
        for tile, start in piece.tiling.slices():
            wanted[tile * q : (tile + 1) * q, max(start, 0) : start + m] += 1
        q, m = covered.query_block, covered.key_block
        for row, column in covered.items:
            found[row * q : (row + 1) * q, column * m : (column + 1) * m] += 1
        assert found.max() == 1
        assert found.any(1).all()  # every block is written
        assert found.any(0).all()
        slots = np.arange(covered.keys)
        found *= (slots >= covered.reach[0][:, None]) & (slots < covered.reach[1][:, None])
        allowed = piece.pattern.allows(query[:, None], key) & (query >= 0)[:, None] & (key >= 0)
        wanted, found = (x[: len(query), : len(key)] * allowed for x in (wanted, found))
        np.testing.assert_array_equal(found, wanted)


def test_blocks_that_see_nothing_or_are_not_seen_have_zeros(small_blocks):
    """Of three blocks of queries and of keys only the middle ones meet."""
    pattern, n, middle = blocks(16) & where(lambda i, j: (i >= 128) & (i < 256)), 304, np.arange(8, 16)
    offsets = np.searchsorted(middle, np.arange(n // 16 + 1)).astype(np.int32)
    tiling = Tiling(16, 16, offsets, (16 * middle).astype(np.int32), None, 0.0)
    assert {(0, 0), (1, 1), (2, 0), (0, 2)} == set(map(tuple, aligned.aligned(tiling, n, n).items.tolist()))
    q, k, v, weight = arrays(n, n)
    side = Side(*[jnp.arange(n, dtype=jnp.int32)[None]] * 2)
    given = Operands(q, k, v, side, side, None, None, None), tiling, Rule(pattern, None, True, 0.0)
    out, total = pallas_tiles.forward(*given, interpret=True)
    wanted = looped.forward(*given, 2**20)
    assert (np.asarray(total)[:, :128] == MASKED).all()
    rows = None, weight, total, (out * weight).sum(-1)
    gradients = pallas_tiles.backward(*given, *rows, interpret=True)
    wanted_gradients = looped.backward(*given, 2**20, *rows)
    for found, expected in zip((out, total, *gradients[:3]), (*wanted, *wanted_gradients[:3])):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_items_are_walked_by_queries_and_by_keys():
    items = np.array([[0, 0], [0, 2], [1, 1], [1, 2], [3, 0], [2**14 - 1, 2**14 - 2]], np.int32)
    blocks = aligned.Blocks(128, 128, 2**21, 2**21, items, np.zeros((2, 0)))
    for by in (0, 1):
        query, key, begins, ends = map(np.asarray, aligned.unpacked(jnp.asarray(blocks.packed(by))))
        walked = np.stack([query, key], axis=1)
        np.testing.assert_array_equal(walked, sorted(items.tolist(), key=lambda item: (item[by], item[1 - by])))
        run = walked[:, by].tolist()
        assert begins.tolist() == [int(i == 0 or run[i - 1] != run[i]) for i in range(len(run))]
        assert ends.tolist() == [int(i + 1 == len(run) or run[i + 1] != run[i]) for i in range(len(run))]


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize(("name", "dtype", "width"), [("causal", jnp.bfloat16, 64), ("fixed", jnp.float32, 24)])
def test_lowers_for_a_tpu(name, dtype, width, segments, on_a_tpu):
    """Forward, gradient of queries, and of keys and values: three kernels a piece that has no regular tiling."""
    n = 700
    pieces = sum(piece.tiling.regular is None for piece in plan(PATTERNS[name], n, n))
    assert pieces == 1
    assert lowered(PATTERNS[name], n, dtype, width, segments).count("tpu_custom_call") == 3


def lowered(pattern, n, dtype, width, segments, over=lambda f: f):
    def gradients(q, k, v, s):
        def total(q, k, v):
            out = attend(q, k, v, pattern=pattern, query_segments=s, key_segments=s, implementation="tiles")
            return out.astype(jnp.float32).sum()

        return jax.grad(total, argnums=(0, 1, 2))(q, k, v)

    qkv = jax.ShapeDtypeStruct((2, n, 2, width), dtype)
    s = jax.ShapeDtypeStruct((2, n), jnp.int32) if segments else None
    return jax.jit(over(gradients)).trace(qkv, qkv, qkv, s).lower(lowering_platforms=("tpu",)).as_text()


def test_is_for_one_device_or_a_shard_map(on_a_tpu, monkeypatch):
    """No compiler splits a kernel by itself, so that a program of several devices takes the portable kernels."""
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert "tpu_custom_call" not in lowered(CAUSAL, 300, jnp.bfloat16, 64, False)
    P = jax.sharding.PartitionSpec
    spec = P("data", None, "tensor")
    over = functools.partial(
        jax.shard_map, mesh=mesh(("data", "tensor")), in_specs=(spec, spec, spec, P("data")), out_specs=(spec,) * 3
    )
    assert "tpu_custom_call" in lowered(CAUSAL, 300, jnp.bfloat16, 64, True, over)


def test_what_it_cannot_do_is_left_to_others(on_a_tpu, monkeypatch):
    def chosen(pattern, n=N, **more):
        q = jnp.zeros((1, n, 1, 8))
        given = planned.Arrays(q, q, q, **more)
        settings = planned.Settings(pattern, 1.0, 0.0, False)
        return [
            planned._kernel(p, *planned._lay_out(settings, given, p, given.bias))[0]
            for p in planned.pieces_of(settings, given)
        ]

    scattered = where(lambda i, j: (i // 16 * 7 + j // 16 * 11) % 5 == 1)
    assert chosen(CAUSAL) == [pallas_tiles]
    assert chosen(CAUSAL & fixed(16, 4), 700) == [regular, pallas_tiles]
    assert chosen(scattered, 700) == [pallas_tiles]
    assert chosen(big_bird(16, 700, random=2), 700) == [gathered]  # a table is an array, and looking in it a gather
    assert chosen(where(lambda i, j: (j <= i) & (jnp.asarray([1, 0, 1])[i % 3] > 0))) == [gathered]
    assert chosen(scattered, 700, prefix=jnp.ones((1, 700), bool)) == [gathered]
    assert chosen(CAUSAL, dropout_key=jax.random.key(0)) == [gathered]
    assert chosen(CAUSAL, bias=lambda i, j: 0.0) == [gathered]
    monkeypatch.setattr(pallas_tiles, "MOST_ITEMS", 0)
    assert chosen(CAUSAL) == [gathered]
    monkeypatch.undo()
    assert chosen(CAUSAL) != [pallas_tiles]  # on a CPU
