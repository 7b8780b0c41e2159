"""Rows and heads in groups, one after another, are what they are at once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from test_conformance import Slope
from test_offset_bias import OfDistances

from t2t.attention import attend, causal, global_tokens, local, planned
from t2t.attention.kernels import groups

B, H, N, K = 4, 6, 150, 8


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


BIASES = {
    "none": None,
    "of distances": OfDistances(normal(H, 1401, seed=9)),
    "of positions": Slope(0.02 * normal(H, seed=9)),
    "an array": normal(1, H, N, N, seed=9),
    "an array of heads alike": normal(1, 1, N, N, seed=9),
    "an array for each row": normal(B, H, N, N, seed=9),
    "an array for each row, of heads alike": normal(B, 1, N, N, seed=9),
}
SEGMENTS = np.repeat(np.arange(1, 4), N // 3)[None] - (np.arange(B)[:, None] % 2) * (np.arange(N) > N - 20)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * max(float(jnp.abs(wanted).max()), 5.0))


@pytest.fixture
def one_device(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)


def outcome(pattern, bias, at_once, monkeypatch, **keywords):
    """The output and all gradients, with so many pairs at once."""
    monkeypatch.setattr(planned, "AT_ONCE", dict.fromkeys(planned.AT_ONCE, at_once))
    query, key, value, weight = (normal(B, N, H, K, seed=seed) for seed in range(4))

    @jax.jit
    def both(query, key, value, bias):
        def total(*given):
            *given, bias = given
            out = attend(*given, pattern=pattern, bias=bias, implementation="tiles", **keywords)
            return (out * weight).sum(), out

        argnums = (0, 1, 2) if bias is None else (0, 1, 2, 3)
        return jax.value_and_grad(total, argnums=argnums, has_aux=True)(query, key, value, bias)

    return both(query, key, value, bias)


@pytest.mark.parametrize("pattern", [causal(), local(16) | global_tokens(3)])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(("at_once", "devices"), [(1, 1), (2**13, 1), (1, 2)])
def test_groups_are_what_all_are_at_once(pattern, bias, at_once, devices, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    keywords = {"query_segments": SEGMENTS, "key_segments": SEGMENTS} if "row" in bias or bias == "none" else {}
    wanted = outcome(pattern, BIASES[bias], 2**30, monkeypatch, **keywords)
    found = outcome(pattern, BIASES[bias], at_once, monkeypatch, **keywords)
    jax.tree.map(close, found, wanted)


@pytest.mark.parametrize("over_queries", [False, True])
def test_dropout_of_groups_is_the_same_forward_and_backward(over_queries, monkeypatch, one_device):
    """The output is linear in the values, so the gradient to them says what the weights were."""
    monkeypatch.setattr(planned, "AT_ONCE", dict.fromkeys(planned.AT_ONCE, 1))
    query, key, value, weight = (normal(B, N, H, K, seed=seed) for seed in range(4))

    def total(value, seed):
        out = attend(
            query, key, value, pattern=causal(), dropout_rate=0.4, dropout_key=jax.random.key(seed),
            dropout_over_queries=over_queries, implementation="tiles",
        )  # fmt: skip
        return (out * weight).sum(), out

    (wanted, out), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(value, 0)
    np.testing.assert_allclose((gradient * value).sum(), wanted, rtol=1e-4)
    assert float(jnp.abs(out - total(value, 1)[1]).max()) > 0.1
    rows = attend(
        *(jnp.broadcast_to(x[:1, :, :1], x.shape) for x in (query, key, value)), pattern=causal(), dropout_rate=0.4,
        dropout_key=jax.random.key(0), dropout_over_queries=over_queries, implementation="tiles",
    )  # fmt: skip
    alike = jnp.abs(rows[:, None, :, :, None] - rows[None, :, :, None]).max((2, 5)) < 1e-6
    assert alike.sum() == B * H  # every row and head has a mask of its own


@pytest.mark.parametrize(
    ("shape", "spec"), [((8, 1), P("rows")), ((4, 2), P("rows", None, "heads")), ((1, 8), P(None, None, "heads"))]
)
def test_each_device_has_its_share_of_every_group(shape, spec, monkeypatch):
    """However rows and heads are spread over devices, none asks another for what it has."""
    monkeypatch.setattr(planned, "AT_ONCE", dict.fromkeys(planned.AT_ONCE, 2**12))
    mesh = Mesh(np.asarray(jax.devices()).reshape(shape), ("rows", "heads"))
    spread, of_heads, alone = (NamedSharding(mesh, s) for s in (spec, P("heads"), P()))
    query, key, value, weight = (normal(16, N, 8, K, seed=seed) for seed in range(4))

    def total(query, key, value, table):
        bias = OfDistances(table)
        return (attend(query, key, value, pattern=causal(), bias=bias, implementation="tiles") * weight).sum()

    both, given = jax.value_and_grad(total, (0, 1, 2, 3)), (query, key, value, normal(8, 1401, seed=9))
    apart = jax.jit(both, in_shardings=(*[spread] * 3, of_heads), out_shardings=(alone, (*[spread] * 3, of_heads)))
    program = apart.lower(*given).compile().as_text()
    assert "while" in program
    assert not re.search(r" (all-gather|all-to-all|collective-permute)\(", program)
    jax.tree.map(close, apart(*given), jax.jit(both)(*given))


@pytest.mark.parametrize(
    ("count", "most", "devices", "wanted"),
    [(8, 8, 1, 1), (8, 7, 1, 2), (8, 3, 1, 4), (8, 0, 1, 8), (7, 3, 1, 7), (8, 3, 2, 4), (8, 1, 2, 4), (6, 1, 4, 1)],
)
def test_the_fewest_groups_of_which_each_device_has_a_share(count, most, devices, wanted):
    assert groups._split(count, most, devices) == wanted


@pytest.mark.parametrize(("rows", "heads", "devices"), [(2, 1, 2), (1, 3, 2), (2, 3, 2), (4, 6, 1), (2, 3, 1)])
def test_parts_are_put_back_and_joined_where_they_were(rows, heads, devices):
    split, x = groups._Groups(rows, heads, devices), normal(8, 5, 12, 3)
    parts = [split.part(x, (0, 2), i) for i in range(split.count)]
    np.testing.assert_array_equal(split.joined(jnp.stack(parts)), x)
    again = jnp.zeros_like(x)
    for i, part in enumerate(parts):
        assert part.shape == (8 // rows, 5, 12 // heads, 3)
        again = split.put(again, (0, 2), i, part)
    np.testing.assert_array_equal(again, x)
    shares = np.asarray(parts[0][:, 0, 0, 0]).reshape(devices if rows > 1 else 1, -1)
    for device, share in enumerate(shares):  # a share of what lies on each
        assert set(share) <= set(np.asarray(x[:, 0, 0, 0]).reshape(len(shares), -1)[device])
