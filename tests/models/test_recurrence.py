"""Decoders with a memory: the published model over three segments, and memories as values that go in and come out."""

import dataclasses
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of
from flax import linen as nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "attention"))

import transfo_xl

from t2t.attention import Compressive, Dense, TransformerXL
from t2t.layers import to_scanned, to_unrolled
from t2t.models import ModelConfig, abstract_params, build, init_cache, init_memory, memory_loss, reorder, repeat

XL = TransformerXL(memory=6)
BASE = ModelConfig(
    architecture="decoder",
    vocab_size=37,
    width=16,
    heads=2,
    mlp_width=24,
    decoder_layers=2,
    positions="none",
    attention=XL,
    init="normal",
    init_std=0.4,
)
EVERY = {
    "transformer_xl": BASE,
    "tied": dataclasses.replace(BASE, attention=TransformerXL(memory=6, tied=True, clamp=4)),
    "rotary": dataclasses.replace(BASE, positions="rotary", attention=TransformerXL(memory=6, relative=False)),
    "bias": dataclasses.replace(
        BASE, positions="relative_bias", scale_attention=False, attention=TransformerXL(memory=6, relative=False)
    ),
    "compressive": dataclasses.replace(BASE, attention=Compressive(memory=4, compressed=3, rate=2)),
    "turns": dataclasses.replace(BASE, attention=(XL, TransformerXL(memory=3, same_length=True))),
}
TOKENS = np.random.default_rng(0).integers(1, 37, (2, 12)).astype(np.int32)
DOCUMENTS = np.stack([np.repeat([1, 2], [5, 7]), np.repeat([4, 5, 6], [1, 10, 1])]).astype(np.int32)


def batches(segments, length=4):
    """Consecutive segments, with the positions of tokens in their documents."""
    starts = np.maximum.accumulate(np.where(np.diff(segments, prepend=-1) != 0, np.arange(12), 0), axis=1)
    whole = {"inputs": TOKENS, "segments": segments, "positions": (np.arange(12) - starts).astype(np.int32)}
    return [{f"decoder_{n}": x[:, i : i + length] for n, x in whole.items()} for i in range(0, 12, length)]


def with_memory(config, params, segments):
    """Logits of all segments, and the sum of losses."""

    @jax.jit
    def step(params, batch, memory):
        return build(config).apply({"params": params}, batch, memory)

    memory, outs, loss = init_memory(config, 2), [], 0.0
    for batch in batches(segments):
        logits, memory = step(params, batch, memory)
        outs, loss = [*outs, logits], loss + memory_loss(memory)
    return jnp.concatenate(outs, axis=1), loss


def with_cache(config, params, segments, length=4):
    @jax.jit
    def step(params, batch, cache):
        names = {n: batch[f"decoder_{n}"] for n in ("segments", "positions")}
        return build(config).apply({"params": params}, batch["decoder_inputs"], **names, cache=cache, method="decode")

    cache, outs = init_cache(config, 2, 4), []
    for batch in batches(segments, length):
        logits, cache = step(params, batch, cache)
        outs.append(logits)
    return jnp.concatenate(outs, axis=1), cache


@pytest.fixture(scope="module", params=transfo_xl.WAYS)
def published(request):
    return transfo_xl.found(request.param)


@pytest.mark.parametrize("case", transfo_xl.CASES)
def test_equals_the_published_model_and_all_its_gradients(published, case):
    sizes, settings = transfo_xl.SIZES, transfo_xl.CASES[case]
    heads, head_width, d = sizes["n_head"], sizes["d_head"], sizes["d_model"]
    config = ModelConfig(
        architecture="decoder",
        vocab_size=sizes["vocab_size"],
        width=d,
        heads=heads,
        head_width=head_width,
        mlp_width=sizes["d_inner"],
        decoder_layers=sizes["n_layer"],
        positions="none",
        norm_place="post",
        norm_epsilon=1e-5,
        final_norm=False,
        scale_embeddings=True,
        attention=TransformerXL(
            memory=transfo_xl.MEMORY,
            clamp=settings["clamp_len"] if settings["clamp_len"] > 0 else None,
            same_length=settings["same_length"],
        ),
    )

    def named(kind):
        """The published tensors as ours. Its attention has no biases."""
        tensors = {
            n.removeprefix(f"{case}/{kind}/"): x for n, x in published.items() if n.startswith(f"{case}/{kind}/")
        }
        layers = {}
        for i in range(sizes["n_layer"]):
            of = {n.removeprefix(f"layers.{i}."): x for n, x in tensors.items() if n.startswith(f"layers.{i}.")}
            q, k, v = of["dec_attn.qkv_net.weight"].reshape(3, heads, head_width, d).transpose(0, 3, 1, 2)
            nothing = {"bias": np.zeros((heads, head_width), np.float32)}
            layers[f"layer_{i}"] = {
                "self_attention": {
                    "query": {"kernel": q, **nothing},
                    "key": {"kernel": k, **nothing},
                    "value": {"kernel": v, **nothing},
                    "out": {
                        "kernel": of["dec_attn.o_net.weight"].T.reshape(heads, head_width, d),
                        "bias": np.zeros(d, np.float32),
                    },
                    "distance": of["dec_attn.r_net.weight"].T.reshape(d, heads, head_width),
                    "u": of["dec_attn.r_w_bias"],
                    "v": of["dec_attn.r_r_bias"],
                },
                "self_attention_norm": {n: of[f"dec_attn.layer_norm.{p}"] for n, p in NORM.items()},
                "feed_forward": {
                    place: {"kernel": of[f"pos_ff.CoreNet.{j}.weight"].T, "bias": of[f"pos_ff.CoreNet.{j}.bias"]}
                    for place, j in (("in", 0), ("out", 3))
                },
                "feed_forward_norm": {n: of[f"pos_ff.layer_norm.{p}"] for n, p in NORM.items()},
            }
        return {"tokens": {"table": tensors["word_emb.emb_layers.0.weight"]}, "decoder": layers}

    params, tokens, n = jax.tree.map(jnp.asarray, named("weight")), published[f"{case}/tokens"], transfo_xl.SEGMENT
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, nn.meta.unbox(abstract_params(config)))

    @jax.jit
    def loss(params):
        memory, outs = init_memory(config, len(tokens)), []
        seen = [layer.replace(attention=layer.attention.replace(segments=1 + layer.attention.segments))
                for layer in memory.layers]  # its memory begins with zeros that are seen  # fmt: skip
        memory = memory.replace(layers=tuple(seen))
        for start in range(0, tokens.shape[1], n):
            logits, memory = build(config).apply(
                {"params": params}, {"decoder_inputs": tokens[:, start : start + n]}, memory
            )
            outs.append(logits)
        logits = jnp.concatenate(outs, axis=1)
        return jnp.sin(logits).sum(), logits

    gradient, logits = jax.grad(loss, has_aux=True)(params)
    np.testing.assert_allclose(logits, published[f"{case}/logits"], atol=2e-5)
    for of in gradient["decoder"].values():  # of biases that it does not have
        for name in ("query", "key", "value", "out"):
            of["self_attention"][name]["bias"] = jnp.zeros_like(of["self_attention"][name]["bias"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), gradient, named("gradient"))


NORM = {"scale": "weight", "bias": "bias"}


@pytest.mark.parametrize("name", EVERY)
def test_memory_equals_cache_and_scanned_equals_unrolled(name):
    config = EVERY[name]
    params, turns = params_of(config), len(config.decoder_mechanisms)
    logits, _ = with_memory(config, params, DOCUMENTS)
    np.testing.assert_allclose(with_cache(config, params, DOCUMENTS)[0], logits, atol=2e-5)

    scanned = dataclasses.replace(config, stacking="scanned")
    np.testing.assert_allclose(with_memory(scanned, to_scanned(params, turns), DOCUMENTS)[0], logits, atol=2e-5)
    np.testing.assert_allclose(with_cache(scanned, to_scanned(params, turns), DOCUMENTS)[0], logits, atol=2e-5)


def test_gradients_of_scanned_layers_equal_those_of_unrolled_ones():
    config = EVERY["compressive"]
    params, scanned = params_of(config), dataclasses.replace(config, stacking="scanned")

    def loss(params, config):
        logits, extra = with_memory(config, params, DOCUMENTS)
        return jnp.sin(logits).sum() + extra

    gradient, other = jax.grad(loss)(params, config), jax.grad(loss)(to_scanned(params), scanned)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=5e-4), to_unrolled(other), gradient)


@pytest.mark.parametrize("name", ["transformer_xl", "compressive"])
@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_rows_of_a_state_are_taken_and_repeated(name, stacking):
    config = dataclasses.replace(EVERY[name], stacking=stacking)
    params = params_of(config)
    _, cache = with_cache(config, params, DOCUMENTS)

    def step(tokens, cache):
        return build(config).apply({"params": params}, tokens, cache=cache, method="decode")[0]

    a = step(TOKENS[:, :1], cache)
    np.testing.assert_allclose(step(TOKENS[::-1, :1], reorder(cache, jnp.asarray([1, 0]))), a[::-1], atol=1e-5)
    np.testing.assert_allclose(step(np.repeat(TOKENS[:, :1], 3, 0), repeat(cache, 3)), np.repeat(a, 3, 0), atol=1e-5)


def test_layers_that_keep_nothing_stand_beside_those_that_do():
    config = dataclasses.replace(BASE, attention=(XL, Dense()))
    params = params_of(config)
    memory = init_memory(config, 2)
    assert memory.layers[1].attention is None
    logits, _ = with_memory(config, params, DOCUMENTS)
    alone = jnp.concatenate([build(config).apply({"params": params}, b) for b in batches(DOCUMENTS)], axis=1)
    np.testing.assert_allclose(logits[:, :4], alone[:, :4], atol=1e-5)
    assert np.abs(logits - alone)[:, 4:].max() > 1e-3
