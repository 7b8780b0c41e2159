"""Calls of cuDNN: programs for a GPU are those of JAX, and cuDNN itself computes the same attention where a GPU is."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo as stablehlo
from test_conformance import PATTERNS, close, exact
from test_fused import Clipped

from t2t.attention import attend, causal, fixed
from t2t.attention.calls import Call, whole
from t2t.attention.kernels import cudnn, fused

CALL = re.compile(r'custom_call @(__cudnn\$fmha\w+)\(.*? \{.*?backend_config = "(.*?)", .*?\} : (\(.*?\)) ->')


def lowered(f, *shapes):
    """The calls of cuDNN in a program for a GPU: name, parameters and types of operands."""
    text = jax.jit(f).trace(*shapes).lower(lowering_platforms=("cuda",)).as_text()
    found = []
    for name, config, operands in CALL.findall(text):
        config = json.loads(config.replace("\\22", '"'))["cudnn_fmha_backend_config"]
        found.append((name, {k: v for k, v in config.items() if k not in ("seed", "fmha_scale")}, operands))
    return found


@pytest.mark.parametrize("case", ["all", "causal", "window", "lengths", "bias"])
def test_programs_for_a_gpu_are_those_of_jax(monkeypatch, case):
    """Operands and parameters of the primitives are what `jax.nn.dot_product_attention` makes of the same."""
    monkeypatch.setattr(stablehlo, "check_cudnn_version", lambda: 91900)
    monkeypatch.setattr(stablehlo, "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(stablehlo, "is_cuda_compute_capability_equal", lambda capability: False)
    causal, window = case in ("causal", "window"), 17 if case == "window" else None
    x = jax.ShapeDtypeStruct((2, 256, 4, 64), jnp.bfloat16)
    bias, lengths = jax.ShapeDtypeStruct((1, 4, 256, 256), jnp.bfloat16), jax.ShapeDtypeStruct((2,), jnp.int32)
    more = {"lengths": [lengths], "bias": [bias]}.get(case, [])

    def ours(q, k, v, *more):
        kind = {"causal": causal, "window": window, {"lengths": "key_lengths", "bias": "bias"}.get(case): None}
        kind.pop(None, None)
        kind |= dict(zip([name for name, value in kind.items() if value is None and name != "window"], more))
        out, total = cudnn.forward(q, k, v, **kind)
        return cudnn.backward(q, k, v, out, total, out, **kind)

    def theirs(q, k, v, *more):
        kind = {"is_causal": causal, "local_window_size": None if window is None else (window - 1, 0)}
        if case == "lengths":
            kind |= {"query_seq_lengths": jnp.full_like(more[0], 256), "key_value_seq_lengths": more[0]}
        run = functools.partial(jax.nn.dot_product_attention, implementation="cudnn", **kind)
        args = (q, k, v, *more) if case == "bias" else (q, k, v)
        out, pull = jax.vjp(run, *args)
        return pull(out)

    calls = lowered(ours, x, x, x, *more)
    assert len(calls) == 2
    assert calls == lowered(theirs, x, x, x, *more)


@pytest.mark.parametrize("name", ["causal", "strided merged", "fixed"])
def test_whole_programs_lower_for_a_gpu(monkeypatch, name):
    monkeypatch.setattr(fused, "device", lambda: cudnn)
    monkeypatch.setattr(fused, "works", lambda kernels, kind: True)
    n, pattern = 1024, {**PATTERNS, "fixed": causal() & fixed(128, 32)}[name]
    x, segments = jax.ShapeDtypeStruct((2, n, 4, 64), jnp.bfloat16), jax.ShapeDtypeStruct((2, n), jnp.int32)

    def loss(q, k, v, segments):
        around = {"query_segments": segments, "key_segments": segments}
        return attend(q, k, v, pattern=pattern, implementation="fused", **around).astype(jnp.float32).sum()

    calls = [name for name, *_ in lowered(jax.grad(loss, argnums=(0, 1, 2)), x, x, x, segments)]
    forward, backward = (calls.count("__cudnn$fmhaSoftmax" + end) for end in ("", "Backward"))
    assert (forward, backward) == {"causal": (2, 2), "strided merged": (2, 2), "fixed": (4, 4)}[name]


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="there is no GPU: cuDNN itself is not run")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for kind, names in {
            "plain": ("bidirectional", "causal", "causal local", "local", "strided merged", "fixed"),
            "one document": ("bidirectional", "strided merged", "fixed"),
            "padded": ("bidirectional", "causal", "local", "strided merged"),
            "packed": ("bidirectional", "causal", "causal local"),
            "bias": ("bidirectional", "causal", "causal local"),
            "learned bias": ("bidirectional", "causal"),
        }.items()
        for name in names
    ],
)
def test_cudnn_itself_equals_masked_dense_attention_in_float64(name, kind):
    """Run on a GPU with `JAX_PLATFORMS=cuda`."""
    n, b = 1024, 2
    pattern = causal() & fixed(128, 32) if name == "fixed" else PATTERNS[name]
    generator = np.random.default_rng(0)
    q, k, v, weight = (jnp.asarray(generator.normal(size=(b, n, 2, 64)), jnp.bfloat16) for _ in range(4))
    segments, around, table = np.ones((b, n), int), {}, jnp.asarray(generator.normal(size=(2, 27)), jnp.float32)
    if kind == "packed":
        segments[0, :300], segments[0, 300:800], segments[0, 1000:], segments[1, 500:] = 1, 2, 0, 7
        assert fused.usable(Call(whole(n), whole(n), name != "bidirectional"), q, packed=True)
    if kind == "padded":
        segments[1, 700:] = 0
    if kind in ("one document", "packed", "padded"):
        around = {"query_segments": jnp.asarray(segments), "key_segments": jnp.asarray(segments)}
    distance = np.clip(np.arange(n)[:, None] - np.arange(n), -13, 13) + 13

    def total(q, k, v, table):
        bias = {"bias": table[None][:, :, distance], "learned bias": Clipped(table)}.get(kind)
        out = attend(q, k, v, pattern=pattern, bias=bias, implementation="fused", **around)
        return (out.astype(jnp.float32) * weight).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))(q, k, v, table)
    same = (segments[:, None, :, None] == segments[:, None, None, :]) & (segments > 0)[:, None, None, :]
    bias = np.asarray(table)[None][:, :, distance] if "bias" in kind else 0.0
    wanted, wanted_gradients, d_bias = exact(q, k, v, weight, pattern.mask(n) & same, 64**-0.5, bias)
    for found, expected in zip((out, *gradients), (wanted, *wanted_gradients)):
        close(found, expected, 3e-2)
    if "bias" in kind:
        of_table = np.stack([np.bincount(distance.ravel(), row, 27) for row in d_bias.sum(0).reshape(2, -1)])
        close(gradients[3], of_table, 3e-2)
