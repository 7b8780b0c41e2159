"""Transient-global attention equals LongT5's of Hugging Face, and its own formula in float64 where rows are packed.

The golden file holds what the PyTorch model gave; where PyTorch is installed it is run again beside it.

PYTHONPATH=. python tests/attention/test_transient_global.py      writes the golden file
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from t2t.attention import Conditions, Sizes, Source, TransientGlobal, causal, local
from t2t.attention.buckets import relative_bucket
from t2t.attention.transient_global import blocks_of
from t2t.layers import to_scanned
from t2t.models import ModelConfig, abstract_params, build

GOLDEN = pathlib.Path(__file__).parent / "golden" / "longt5.npz"
LENGTHS = (23, 14, 6, 3)  # odd, with orphans, one block with orphans, shorter than a block
LONGT5 = ModelConfig(
    architecture="encoder",
    vocab_size=19,
    width=12,
    heads=3,
    head_width=4,
    mlp_width=10,
    encoder_layers=2,
    norm="rms",
    bias=False,
    gated=True,
    activation="gelu_tanh",
    scale_attention=False,
    positions="relative_bias",
    relative_buckets=8,
    relative_max_distance=10,
    attention=TransientGlobal(window=5, block=4, buckets=8, max_distance=10),
)


def rows() -> list[tuple[str, str, str]]:
    """(path in t2t, name in the file, layout)."""
    block, bias = "encoder.block.{}.layer.{}", "TransientGlobalSelfAttention.{}relative_attention_bias.weight"
    found = [
        ("tokens/table", "shared.weight", "="),
        ("encoder/relative_bias/table", f"{block.format(0, 0)}.{bias.format('')}", "T"),
        ("encoder/shared_self_attention_0/summary_bias", f"{block.format(0, 0)}.{bias.format('global_')}", "T"),
        ("encoder/norm/scale", "encoder.final_layer_norm.weight", "="),
    ]
    for i in range(LONGT5.encoder_layers):
        ours, attention = f"encoder/layer_{i}", f"{block.format(i, 0)}.TransientGlobalSelfAttention"
        found += [
            (f"{ours}/self_attention_norm/scale", f"{block.format(i, 0)}.layer_norm.weight", "="),
            (f"{ours}/feed_forward_norm/scale", f"{block.format(i, 1)}.layer_norm.weight", "="),
            (f"{ours}/self_attention/summary_scale", f"{attention}.global_input_layer_norm.weight", "="),
            (f"{ours}/self_attention/out/kernel", f"{attention}.o.weight", "out"),
        ]
        found += [
            (f"{ours}/self_attention/{n}/kernel", f"{attention}.{n[0]}.weight", "in") for n in ("query", "key", "value")
        ]
        found += [
            (f"{ours}/feed_forward/{a}/kernel", f"{block.format(i, 1)}.DenseReluDense.{b}.weight", "T")
            for a, b in (("gate", "wi_0"), ("in", "wi_1"), ("out", "wo"))
        ]
    return found


def params_from(tensors) -> dict:
    """A tree of parameters from a function from names to tensors."""
    d, h, k = LONGT5.width, LONGT5.heads, LONGT5.head_width
    layouts = {
        "=": lambda x: x,
        "T": lambda x: x.T,
        "in": lambda x: x.T.reshape(d, h, k),
        "out": lambda x: x.T.reshape(h, k, d),
    }
    params: dict = {}
    for path, name, layout in rows():
        *parents, leaf = path.split("/")
        node = functools.reduce(lambda node, parent: node.setdefault(parent, {}), parents, params)
        node[leaf] = jnp.asarray(layouts[layout](np.asarray(tensors(name))))
    return params


def batch() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    n = max(LENGTHS)
    mask = (np.arange(n)[None] < np.asarray(LENGTHS)[:, None]).astype(np.int32)
    tokens = generator.integers(1, LONGT5.vocab_size, mask.shape).astype(np.int32)
    return {
        "tokens": tokens,
        "mask": mask,
        "probe": generator.normal(size=(*mask.shape, LONGT5.width)) * mask[..., None],
    }


def run_longt5() -> dict[str, np.ndarray]:
    """Hugging Face's LongT5 encoder with random weights: its tensors, states, and the gradients of states · probe."""
    import torch
    from transformers import LongT5Config, LongT5EncoderModel

    own = LONGT5.attention
    torch.manual_seed(0)
    model = LongT5EncoderModel(
        LongT5Config(
            vocab_size=LONGT5.vocab_size,
            d_model=LONGT5.width,
            d_kv=LONGT5.head_width,
            d_ff=LONGT5.mlp_width,
            num_layers=LONGT5.encoder_layers,
            num_heads=LONGT5.heads,
            local_radius=own.window - 1,
            global_block_size=own.block,
            relative_attention_num_buckets=own.buckets,
            relative_attention_max_distance=own.max_distance,
            encoder_attention_type="transient-global",
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape))
    given = {name: torch.tensor(x) for name, x in batch().items()}
    states = model(input_ids=given["tokens"].long(), attention_mask=given["mask"].long()).last_hidden_state
    (states * given["probe"].float()).sum().backward()
    named = dict(model.named_parameters())
    return {
        "states": states.detach().numpy(),
        **{f"tensor:{name}": named[name].detach().numpy() for _, name, _ in rows()},
        **{f"gradient:{name}": named[name].grad.numpy() for _, name, _ in rows()},
    }


@pytest.mark.parametrize("source", ["golden", pytest.param("live", marks=pytest.mark.pytorch)])
def test_equals_longt5_of_hugging_face(source):
    expected = dict(np.load(GOLDEN)) if source == "golden" else run_longt5()
    given = {name: jnp.asarray(x) for name, x in batch().items()}
    params = params_from(lambda name: expected[f"tensor:{name}"])

    def total(params):
        states = build(LONGT5).apply({"params": params}, given["tokens"], given["mask"], method="encode")
        return (states * given["probe"]).sum(), states

    gradients, states = jax.jit(jax.grad(total, has_aux=True))(params)
    real = batch()["mask"] > 0
    np.testing.assert_allclose(states[real], expected["states"][real], atol=2e-5)
    wanted = params_from(lambda name: expected[f"gradient:{name}"])
    assert jax.tree.structure(wanted) == jax.tree.structure(nn.meta.unbox(abstract_params(LONGT5)))
    for (path, found), gradient in zip(jax.tree_util.tree_flatten_with_path(gradients)[0], jax.tree.leaves(wanted)):
        scale = max(1.0, float(jnp.abs(gradient).max()))
        np.testing.assert_allclose(found, gradient, atol=2e-5 * scale, err_msg=jax.tree_util.keystr(path))


# What Hugging Face's has not: packed documents, padding on the left, scaled logits, biases of any kind.

B, H, K, D = 2, 2, 4, 6
PACKED = np.asarray([[1] * 9 + [2] * 5 + [3] * 2 + [0] * 3, [0] * 2 + [1] * 3 + [2] * 7 + [3] * 7])
N = PACKED.shape[1]
MECHANISM = TransientGlobal(window=4, block=3, buckets=4, max_distance=3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arguments():
    """Everything that is differentiated."""
    sizes = Sizes(width=D, heads=H, head_width=K)
    return {
        "query": draw(B, N, H, K),
        "inputs": draw(B, N, D, seed=1),
        "key": draw(D, H, K, seed=2),
        "value": draw(D, H, K, seed=3),
        "bias": draw(1, H, N, N, seed=4),
        "parameters": {name: 1 + draw(*p.shape, seed=5) for name, p in MECHANISM.parameters(sizes).items()},
    }


def apply(mechanism, given, segments=None, **conditions):
    def project(x):
        return jnp.einsum("bnd,dhk->bnhk", x, given["key"]), jnp.einsum("bnd,dhk->bnhk", x, given["value"])

    conditions = {"bias": given["bias"], **conditions}
    return mechanism.apply(
        given["query"],
        *project(given["inputs"]),
        Conditions(query_segments=segments, key_segments=segments, **conditions),
        parameters=given["parameters"],
        source=Source(given["inputs"], project),
    )[0]


jitted = jax.jit(apply, static_argnums=0)


def reference(given, segments):
    """Guo et al. 2022, section 3.1.2, for each row, document and head by itself."""
    out, s = np.zeros(given["query"].shape), MECHANISM.block
    scale, table = given["parameters"]["summary_scale"], given["parameters"]["summary_bias"]
    for b in range(len(segments)):
        for segment in set(segments[b]) - {0}:
            at = np.flatnonzero(segments[b] == segment)
            x, count = given["inputs"][b, at], len(at) // s
            ends = [*range(s, count * s, s), len(at)] if count else []
            sums = np.asarray([x[i * s : end].sum(0) for i, end in enumerate(ends)]).reshape(count, D)
            sums = sums / np.sqrt((sums**2).mean(-1, keepdims=True) + 1e-6) * scale
            distance = np.arange(len(at))[:, None] - np.arange(len(at))
            block = np.minimum(np.arange(len(at)) // s, count - 1)
            bucket = relative_bucket(block[:, None] - np.arange(count), bidirectional=True, buckets=4, max_distance=3)
            for h in range(H):
                key, value = given["key"][:, h], given["value"][:, h]
                logits = given["query"][b, at, h] @ np.concatenate([x @ key, sums @ key]).T / np.sqrt(K)
                bias = np.where(abs(distance) < MECHANISM.window, given["bias"][0, h][np.ix_(at, at)], -np.inf)
                logits = logits + np.concatenate([bias, table[h][np.asarray(bucket)]], axis=1)
                weights = np.exp(logits - logits.max(-1, keepdims=True))
                weights /= weights.sum(-1, keepdims=True)
                out[b, at, h] = weights @ np.concatenate([x @ value, sums @ value])
    return out


def as_float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def test_equals_the_formula_and_so_does_its_gradient():
    given, probe = arguments(), draw(B, N, H, K, seed=9)

    def total(given):
        out = apply(MECHANISM, given, jnp.asarray(PACKED))
        return (jnp.asarray(probe, jnp.float32) * out).sum(), out

    gradients, out = jax.jit(jax.grad(total, has_aux=True))(as_float32(given))
    np.testing.assert_allclose(out, reference(given, PACKED), atol=5e-6)
    assert (out[PACKED == 0] == 0).all()
    leaves, tree = jax.tree.flatten(given)
    for i, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = draw(*gradient.shape, seed=20 + i)

        def at(step, i=i, direction=direction):
            moved = tree.unflatten([x + step * direction if j == i else x for j, x in enumerate(leaves)])
            return (probe * reference(moved, PACKED)).sum()

        np.testing.assert_allclose((gradient * direction).sum(), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=2e-4, atol=2e-4)


def test_blocks_begin_with_their_document():
    expected = [
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, -1, -1, -1, -1, -1],
        [-1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4],
    ]
    np.testing.assert_array_equal(blocks_of(jnp.asarray(PACKED), 3), expected)


def test_nothing_outside_a_document_matters():
    given = as_float32(arguments())
    out = jitted(MECHANISM, given, jnp.asarray(PACKED))
    for segment in (1, 2, 3):
        here = np.equal(PACKED, segment)
        huge = {**given, "inputs": jnp.where(jnp.asarray(here)[..., None], given["inputs"], 1e6)}
        np.testing.assert_array_equal(jitted(MECHANISM, huge, jnp.asarray(PACKED))[here], out[here])


@pytest.mark.parametrize("n", [2, 3, 4, 13])
def test_a_row_of_any_length_without_segments(n):
    given = arguments()
    given |= {"query": given["query"][:, :n], "inputs": given["inputs"][:, :n], "bias": given["bias"][:, :, :n, :n]}
    expected = reference(given, np.ones((B, n), int))
    np.testing.assert_allclose(jitted(MECHANISM, as_float32(given)), expected, atol=5e-6)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class ByPosition:
    """A bias that is not the same at all places of a row, as a function of positions."""

    array: jax.Array

    def __call__(self, query_positions, key_positions):
        last = self.array.shape[-1] - 1
        found = self.array[0][
            :, jnp.clip(query_positions, 0, last)[:, :, None], jnp.clip(key_positions, 0, last)[:, None]
        ]
        return jnp.moveaxis(found, 0, 1)

    def tree_flatten(self):
        return (self.array,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def test_a_bias_is_an_array_or_a_function():
    given = as_float32(arguments())

    def total(array, given, function):
        bias = ByPosition(array) if function else array
        return (apply(MECHANISM, {**given, "bias": bias}, jnp.asarray(PACKED)) ** 2).sum()

    both = [jax.jit(jax.value_and_grad(total), static_argnums=2)(given["bias"], given, f) for f in (False, True)]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), *both)
    none = jitted(MECHANISM, {**given, "bias": None}, jnp.asarray(PACKED))
    zero = jitted(MECHANISM, {**given, "bias": jnp.zeros((1, 1, N, N))}, jnp.asarray(PACKED))
    np.testing.assert_allclose(none, zero, atol=1e-6)


def test_bfloat16():
    rounded = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arguments())
    out = jitted(MECHANISM, rounded, jnp.asarray(PACKED))
    assert out.dtype == jnp.bfloat16
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), rounded)
    np.testing.assert_allclose(out.astype(jnp.float32), reference(exact, PACKED), atol=0.1, rtol=0.1)


def test_dropout_is_drawn_for_each_query_or_for_all():
    given = as_float32(arguments())
    given |= {"query": jnp.ones((B, N, H, K)), "inputs": jnp.ones((B, N, D)), "bias": None}
    dropped = {"dropout_rate": 0.5, "dropout_key": jax.random.key(0)}
    own = apply(MECHANISM, given, **dropped)
    assert not np.allclose(own[:, 4:8], own[:, 8:12])
    shared = apply(MECHANISM, given, **dropped, dropout_over_queries=True)
    assert not np.allclose(shared, apply(MECHANISM, given))
    assert jnp.isfinite(shared).all()


def test_refuses_what_it_cannot_do_naming_what_can():
    given = as_float32(arguments())
    MECHANISM.check(causal=False, cross=False, positions="relative_bias")
    with pytest.raises(ValueError, match="window: expected at least 1"):
        TransientGlobal(window=0)
    with pytest.raises(ValueError, match="buckets: expected an even number"):
        TransientGlobal(buckets=5)
    for place, found in (
        ({"causal": True, "cross": False}, "causal self"),
        ({"causal": False, "cross": True}, "cross"),
    ):
        with pytest.raises(ValueError, match=f"found {found}-attention.*Dense"):
            MECHANISM.check(**place, positions="learned")
    with pytest.raises(ValueError, match="no one position.*'relative_bias'"):
        MECHANISM.check(causal=False, cross=False, positions="rotary")
    with pytest.raises(ValueError, match="no incremental decoding.*Dense"):
        MECHANISM.init_state(1, 8, Sizes(D, H, K), jnp.float32)
    for pattern in (causal(), local(3)):
        with pytest.raises(ValueError, match="both sides of a query, found pattern.*Dense"):
            apply(MECHANISM, given, pattern=pattern)
    with pytest.raises(ValueError, match="as in cross-attention. Use Dense"):
        MECHANISM.apply(given["query"], given["query"], given["query"], Conditions(), parameters=given["parameters"])


def test_an_encoder_takes_a_step_and_scans():
    config = dataclasses.replace(LONGT5, init="t5")
    inputs = {"encoder_inputs": jnp.asarray(batch()["tokens"]), "encoder_segments": jnp.asarray(batch()["mask"])}
    params = nn.meta.unbox(jax.jit(build(config).init)(jax.random.key(0), inputs)["params"])

    def loss(params, config=config):
        logits = build(config).apply({"params": params}, inputs)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, inputs["encoder_inputs"])
        return (losses * inputs["encoder_segments"]).mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(params)
    assert all(jnp.isfinite(g).all() and (g != 0).any() for g in jax.tree.leaves(gradients))
    assert jax.jit(loss)(jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients)) < value
    scanned = jax.jit(lambda p: loss(p, dataclasses.replace(config, stacking="scanned")))(to_scanned(params))
    np.testing.assert_allclose(scanned, value, rtol=1e-5)
    names = [path[-1].key for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    assert (names.count("summary_bias"), names.count("summary_scale")) == (1, 2)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **run_longt5())
    print(GOLDEN, GOLDEN.stat().st_size)
