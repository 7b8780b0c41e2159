"""Memory attention equals the published Transformer-XL and the papers' formulas in float64, its outputs and gradients;
and its two memories, of hidden states and of keys and values, say the same."""

import dataclasses
import functools
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import transfo_xl

from t2t.attention import Compressive, Conditions, Sizes, Source, TransformerXL, bidirectional, causal, relative

B, D, H, K, N, T = 2, 8, 2, 3, 4, 12
SIZES = Sizes(width=D, heads=H, head_width=K)
ONE = np.ones((B, T), np.int32)
DOCUMENTS = np.stack([np.repeat([0, 5, 6], [3, 6, 3]), np.repeat([1, 2, 3], [1, 10, 1])]).astype(np.int32)


def drawn(*shape, seed=0, scale=0.5):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def layer_of(mechanism):
    """The weights of a layer: projections of queries, keys and values, and the mechanism's own."""
    own = {name: drawn(*p.shape, seed=7 + i) for i, (name, p) in enumerate(mechanism.parameters(SIZES).items())}
    return {"q": drawn(D, H, K), "k": drawn(D, H, K, seed=1), "v": drawn(D, H, K, seed=2), "own": own}


@functools.partial(jax.jit, static_argnames=("mechanism", "dropout_rate"))
def segment(mechanism, layer, x, segments, state, **conditions):
    """The outputs of one segment, and the state after it."""

    def project(inputs, positions=None, frozen=False):
        k, v = (jax.lax.stop_gradient(layer[n]) if frozen else layer[n] for n in ("k", "v"))
        return jnp.einsum("bnd,dhk->bnhk", inputs, k), jnp.einsum("bnd,dhk->bnhk", inputs, v)

    return mechanism.apply(
        jnp.einsum("bnd,dhk->bnhk", x, layer["q"]),
        *project(x),
        Conditions(pattern=causal(), query_segments=segments, key_segments=segments, **conditions),
        state=state,
        parameters=layer["own"],
        source=Source(x, project),
    )


def through(mechanism, layer, x, segments, state, lengths=(N,) * (T // N), **conditions):
    """Outputs [b n h k] of a row cut into segments of these lengths, the last state, and the sum of losses."""
    outs, loss, start = [], 0.0, 0
    for length in lengths:
        where = slice(start, start + length)
        out, state = segment(mechanism, layer, x[:, where], segments[:, where], state, **conditions)
        outs.append(out)
        loss, start = loss + getattr(state, "loss", 0.0), start + length
    return jnp.concatenate(outs, axis=1), state, loss


def memory_of(mechanism):
    return mechanism.init_memory(B, SIZES, jnp.float32)


def state_of(mechanism, length=T):
    return mechanism.init_state(B, length, SIZES, jnp.float32)


@pytest.fixture(scope="module", params=transfo_xl.WAYS)
def published(request):
    return transfo_xl.found(request.param)


@pytest.mark.parametrize("case", transfo_xl.CASES)
def test_equals_the_published_layer_over_three_segments(published, case):
    found = {name.removeprefix(f"{case}/layer/"): jnp.asarray(x) for name, x in published.items() if case in name}
    settings = transfo_xl.CASES[case]
    clamp = settings["clamp_len"] if settings["clamp_len"] > 0 else None
    mechanism = TransformerXL(memory=transfo_xl.MEMORY, clamp=clamp, same_length=settings["same_length"])

    def loss(weights, x):
        q, k, v = weights["qkv_net.weight"].reshape(3, H, K, D).transpose(0, 3, 1, 2)
        r = weights["r_net.weight"].reshape(H, K, D).transpose(2, 0, 1)
        own = {"distance": r, "u": weights["r_w_bias"], "v": weights["r_r_bias"]}
        # Its memory begins with zeros that are seen.
        empty = memory_of(mechanism).replace(segments=jnp.ones((B, transfo_xl.MEMORY), jnp.int32))
        out = through(mechanism, {"q": q, "k": k, "v": v, "own": own}, x, ONE, empty)[0]
        out = out.reshape(B, T, H * K) @ weights["o_net.weight"].T
        return jnp.sin(out).sum(), out

    weights = {name.removeprefix("weight/"): x for name, x in found.items() if name.startswith("weight/")}
    (_, out), (gradient, of_inputs) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(weights, found["inputs"])
    np.testing.assert_allclose(out, found["out"], atol=1e-5)
    np.testing.assert_allclose(of_inputs, found["gradient/inputs"], atol=2e-5)
    assert set(gradient) == {"qkv_net.weight", "o_net.weight", "r_net.weight", "r_r_bias", "r_w_bias"}
    for name, value in gradient.items():
        np.testing.assert_allclose(value, found[f"gradient/{name}"], rtol=1e-5, atol=2e-5)


def softmax_mixture(logits, values):
    weights = np.exp(logits - logits.max())
    return weights @ values / weights.sum()


def formula(layer, x, segments, memory, clamp=None):
    """The sum of the sines of the outputs, in float64, by the sum over pairs of Dai et al. 2019, section 3.3; what the
    memory holds is made of `x` as it is, but counts as a constant where gradients are taken: it is given apart."""
    layer, x, past = jax.tree.map(lambda a: np.asarray(a, np.float64), (layer, x, memory))
    q, u, v, w = (np.einsum("bnd,dhk->bnhk", x, layer["q"]), *(layer["own"][n] for n in ("u", "v", "distance")))
    out = np.zeros_like(q)
    length = past.shape[1] // (T // N)
    for b, h, i in np.ndindex(B, H, T):
        seen = []
        begin = i // N * N
        for j in range(max(begin - length, 0), i + 1):
            if segments[b, i] and segments[b, i] == segments[b, j]:
                source = x[b, j] if j >= begin else past[b, i // N * length + j - begin + length]
                key, value = (np.einsum("d,dk->k", source, layer[n][:, h]) for n in ("k", "v"))
                distance = i - j if clamp is None else min(i - j, clamp)
                rates = 10_000.0 ** (-np.arange(0, D, 2) / D)
                sinusoid = np.concatenate([np.sin(distance * rates), np.cos(distance * rates)])
                logit = (q[b, i, h] + u[h]) @ key + (q[b, i, h] + v[h]) @ (sinusoid @ w[:, h])
                seen.append((logit / np.sqrt(K), value))
        if seen:
            out[b, i, h] = softmax_mixture(np.array([s[0] for s in seen]), np.array([s[1] for s in seen]))
    return out


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("clamp", [None, 2])
def test_equals_the_formula_and_its_gradient_that_of_differences(clamp, one_by_one, monkeypatch):
    monkeypatch.setattr(relative, "IN_CACHE", 0 if one_by_one else 2**17)
    mechanism = TransformerXL(memory=5, clamp=clamp)
    layer, x, m = layer_of(mechanism), drawn(B, T, D, seed=3), mechanism.memory
    # The states that each segment finds in memory, which no gradient reaches.
    padded = jnp.pad(x, ((0, 0), (m, 0), (0, 0)))
    past = jnp.concatenate([padded[:, start : start + m] for start in range(0, T, N)], axis=1)

    def total(layer, x):
        out = through(mechanism, layer, x, DOCUMENTS, memory_of(mechanism))[0]
        return jnp.sin(out).sum(), out

    (_, out), gradient = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(layer, x)
    np.testing.assert_allclose(out, formula(layer, x, DOCUMENTS, past, clamp), atol=2e-6)
    assert (np.asarray(out)[DOCUMENTS == 0] == 0).all()
    leaves, tree = jax.tree.flatten((layer, x))
    for which, leaf in enumerate(leaves):
        direction = np.random.default_rng(which).standard_normal(leaf.shape)

        def moved(step, which=which, leaf=leaf, direction=direction):
            changed = [np.asarray(a, np.float64) for a in leaves]
            changed[which] = np.asarray(leaf, np.float64) + step * direction
            return np.sin(formula(*jax.tree.unflatten(tree, changed), DOCUMENTS, past, clamp)).sum()

        wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5
        found = np.vdot(np.asarray(jax.tree.leaves(gradient)[which], np.float64), direction)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


XL = TransformerXL(memory=6)
EVERY = {
    "plain": XL,
    "short": TransformerXL(memory=3),  # shorter than a segment
    "clamp": TransformerXL(memory=6, clamp=3),
    "same length": TransformerXL(memory=6, same_length=True),
    "without encoding": TransformerXL(memory=6, relative=False),
    "compressive": Compressive(memory=4, compressed=3, rate=2),
    "compressive mean": Compressive(memory=4, compressed=3, rate=2, compression="mean", clamp=5),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("segments", [ONE, DOCUMENTS], ids=["one", "documents"])
def test_keys_and_values_say_what_hidden_states_say(name, segments):
    mechanism, x = EVERY[name], drawn(B, T, D, seed=3)
    layer = layer_of(mechanism)
    hidden = through(mechanism, layer, x, segments, memory_of(mechanism))[0]
    np.testing.assert_allclose(through(mechanism, layer, x, segments, state_of(mechanism))[0], hidden, atol=1e-5)
    assert np.abs(through(mechanism, layer, x, segments, None)[0] - hidden).max() > 1e-3  # it is seen


@pytest.mark.parametrize("segments", [ONE, DOCUMENTS], ids=["one", "documents"])
@pytest.mark.parametrize("lengths", [(4, 4, 4), (5, 1, 6), (12,), (1,) * 12])
def test_a_memory_of_all_that_came_before_makes_one_long_pass(segments, lengths):
    x = drawn(B, T, D, seed=3)
    layer = layer_of(XL)
    wanted = through(XL, layer, x, segments, None, (T,))[0]
    for mechanism in (TransformerXL(memory=T), TransformerXL(memory=0)):
        found = through(mechanism, layer, x, segments, state_of(mechanism), lengths)[0]
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    memory = memory_of(TransformerXL(memory=T))
    np.testing.assert_allclose(through(mechanism, layer, x, segments, memory, lengths)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["same length", "compressive", "compressive mean"])
def test_token_by_token_equals_segments(name):
    """Where every query sees as much: with the same length for all, or in segments of one compressed block."""
    mechanism, x = EVERY[name], drawn(B, T, D, seed=3)
    layer = layer_of(mechanism)
    segments = through(mechanism, layer, x, DOCUMENTS, memory_of(mechanism), (2,) * 6)[0]
    for lengths in ((1,) * 12, (1, 1, 2, 1, 1, 2, 2, 2)):
        tokens = through(mechanism, layer, x, DOCUMENTS, state_of(mechanism), lengths)[0]
        np.testing.assert_allclose(tokens, segments, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", [memory_of, state_of], ids=["hidden", "keys and values"])
def test_nothing_of_another_document_is_seen(name, kind):
    mechanism = EVERY[name]
    layer, x = layer_of(mechanism), drawn(B, T, D, seed=3)
    segments = np.stack([np.repeat([1, 2], [7, 5]), np.repeat([1, 2], [3, 9])]).astype(np.int32)
    other = jnp.where((segments == 1)[..., None], x + 1.0, x)
    a, b = (through(mechanism, layer, inputs, segments, kind(mechanism))[0] for inputs in (x, other))
    np.testing.assert_array_equal(a[segments == 2], b[segments == 2])
    assert np.abs(a - b)[segments == 1].max() > 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_padding_before_a_prompt_changes_nothing(name):
    mechanism = EVERY[name]
    layer, x = layer_of(mechanism), drawn(B, 6, D, seed=3)
    padded = jnp.pad(x, ((0, 0), (2, 0), (0, 0)), constant_values=9.0)
    segments = np.pad(np.ones((B, 6), np.int32), ((0, 0), (2, 0)))
    wanted = through(mechanism, layer, x, segments[:, 2:], state_of(mechanism), (4, 1, 1))[0]
    found = through(mechanism, layer, padded, segments, state_of(mechanism), (6, 1, 1))[0]
    np.testing.assert_allclose(found[:, 2:], wanted, atol=1e-5)
    assert (np.asarray(found)[:, :2] == 0).all()


def test_gradients_reach_projections_through_the_memory_but_not_what_made_it():
    x = drawn(B, T, D, seed=3)
    layer = layer_of(XL)

    def last(layer, x, state):
        return jnp.sin(through(XL, layer, x, ONE, state)[0][:, -N:]).sum()

    of_inputs = jax.grad(last, argnums=1)(layer, x, memory_of(XL))
    assert (np.asarray(of_inputs)[:, :-N] == 0).all()
    assert np.abs(of_inputs)[:, -N:].min(-1).max() > 0
    state = through(XL, layer, x[:, :-N], ONE, memory_of(XL), (N, N))[1]

    def of_keys(layer, hidden):
        return jnp.sin(segment(XL, layer, x[:, -N:], ONE[:, -N:], state.replace(hidden=hidden))[0]).sum()

    with_memory = jax.grad(of_keys)(layer, state.hidden)["k"]
    without = jax.grad(of_keys)(layer, 0 * state.hidden)["k"]
    assert np.abs(with_memory - without).max() > 1e-3


def test_compression_learns_from_reconstruction_alone():
    mechanism, x = EVERY["compressive"], drawn(B, T, D, seed=3)
    layer = layer_of(mechanism)

    def task(layer):
        return jnp.sin(through(mechanism, layer, x, ONE, memory_of(mechanism))[0]).sum()

    def auxiliary(layer, x):
        return through(mechanism, layer, x, ONE, memory_of(mechanism))[2]

    of_task = jax.grad(task)(layer)
    (of_loss, of_inputs), value = jax.grad(auxiliary, argnums=(0, 1))(layer, x), auxiliary(layer, x)
    learned = {"compression", "compression_bias"}
    for name in of_loss["own"]:
        assert (np.abs(of_loss["own"][name]).max() > 0) == (name in learned), name
        assert (np.abs(of_task["own"][name]).max() > 0) == (name not in learned), name
    assert all((np.asarray(of_loss[n]) == 0).all() for n in "qkv")
    assert (np.asarray(of_inputs) == 0).all()
    # It falls where the gradient says.
    better = {n: p - 0.05 * of_loss["own"][n] for n, p in layer["own"].items()}
    assert float(auxiliary({**layer, "own": better}, x)) < float(value)


def test_the_reconstruction_loss_is_that_of_algorithm_2():
    mechanism = Compressive(memory=4, compressed=3, rate=2)
    layer, x = layer_of(mechanism), drawn(B, 8, D, seed=3)
    found = through(mechanism, layer, x, ONE[:, :8], memory_of(mechanism), (4, 4))[2]
    q, k, v, kernel, bias = (
        np.asarray(a, np.float64)
        for a in (*(layer[n] for n in "qkv"), layer["own"]["compression"], layer["own"]["compression_bias"])
    )
    h, old = np.asarray(x, np.float64)[:, 4:], np.asarray(x, np.float64)[:, :4]
    new = np.einsum("berd,rdc->bec", old.reshape(B, 2, 2, D), kernel) + bias

    def attention(states):
        logits = np.einsum("bnd,dhk,bme,ehk->bhnm", h, q, states, k) / np.sqrt(K)
        weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        return np.einsum("bhnm,bme,ehk->bnhk", weights, states, v)

    # In the first segment what leaves is empty, and so is what it is compressed to: both are seen by nobody.
    np.testing.assert_allclose(found, np.mean((attention(old) - attention(new)) ** 2), rtol=1e-5)


def test_bfloat16_and_dropout():
    layer, x = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (layer_of(XL), drawn(B, T, D, seed=3)))
    exact = through(XL, layer_of(XL), drawn(B, T, D, seed=3), ONE, memory_of(XL))[0]
    out, state, _ = through(XL, layer, x, ONE, XL.init_state(B, T, SIZES, jnp.bfloat16))
    assert {out.dtype, state.key.dtype, state.table.value.dtype} == {jnp.dtype("bfloat16")}
    assert 0 < np.abs(out.astype(jnp.float32) - exact).max() < 0.05
    layer, x = layer_of(XL), drawn(B, T, D, seed=3)

    def dropped(key):
        return through(XL, layer, x, ONE, memory_of(XL), dropout_rate=0.4, dropout_key=key)[0]

    outs = jax.vmap(dropped)(jax.random.split(jax.random.key(0), 300))
    assert np.abs(outs[0] - exact).max() > 0.1
    np.testing.assert_allclose(outs.mean(0), exact, atol=0.2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TransformerXL(memory=-1), "memory: expected 0"),
        (lambda: TransformerXL(memory=4, clamp=0), "clamp: expected at least 1"),
        (lambda: TransformerXL(memory=0, same_length=True), "as many keys as memory, found memory 0"),
        (lambda: TransformerXL(memory=4, relative=False, clamp=3), "are of the relative encoding"),
        (lambda: Compressive(memory=4, compressed=0, rate=2), "compressed: expected at least 1"),
        (lambda: Compressive(memory=1, compressed=4, rate=2), "memory: expected at least rate 2"),
        (lambda: XL.check(causal=False, cross=False, positions="none"), "found an encoder"),
        (lambda: XL.check(causal=False, cross=True, positions="none"), "found cross-attention"),
        (lambda: XL.check(causal=True, cross=False, positions="learned"), "set positions to 'none'"),
        (lambda: XL.check(causal=True, cross=False, positions="rotary"), "or relative to False"),
        (
            lambda: TransformerXL(memory=4, relative=False).check(causal=True, cross=False, positions="sinusoidal"),
            "have the same position",
        ),
        (lambda: XL.parameters(dataclasses.replace(SIZES, width=7)), "even width, found 7"),
        (
            lambda: segment(EVERY["compressive"], {**layer_of(EVERY["compressive"])}, drawn(B, 3, D), ONE[:, :3],
                            memory_of(EVERY["compressive"])),
            "one of 3 and rate 2. Make data.targets_length",
        ),
        (lambda: segment(XL, layer_of(XL), drawn(B, T, D), ONE, None, prefix=ONE), "prefix_attention False"),
        (
            lambda: segment(XL, layer_of(XL), drawn(B, T, D), ONE,
                            dataclasses.replace(XL, memory=XL.memory + 1).init_memory(B, SIZES, jnp.float32)),
            f"expected a memory of {B} rows of {XL.memory} positions, found {B} of {XL.memory + 1}: make it for this",
        ),
        (
            lambda: segment(XL, layer_of(XL), drawn(B, T, D), ONE, XL.init_state(B + 1, T, SIZES, jnp.float32)),
            f"expected a memory of {B} rows of .* found {B + 1} of",
        ),
        (
            lambda: XL.apply(*[drawn(B, N, H, K)] * 3, Conditions(pattern=bidirectional()), parameters={}),
            "found pattern bidirectional",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
