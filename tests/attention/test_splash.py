"""Splash attention of TPUs, interpreted: its calls join others and their gradients are those of the whole row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_conformance import close, exact

from t2t.attention.kernels import fused, splash


@pytest.mark.parametrize("case", ["causal", "window", "all", "lengths"])
def test_splash_on_tpus_takes_the_whole_rows_log_sum_exp(monkeypatch, case):
    monkeypatch.setattr(splash, "INTERPRET", True)
    n, m = 150, 150 if case in ("causal", "window") else 200
    generator = np.random.default_rng(0)
    q, k, v, d_out, other = (
        jnp.asarray(generator.normal(size=(2, rows, 2, 64)), jnp.float32) for rows in (n, m, m, n, n)
    )
    other_total = jnp.asarray(generator.normal(size=(2, 2, n)), jnp.float32)
    i, j = np.arange(n)[:, None], np.arange(m)
    kind = {"causal": m == n, "window": 40 if case == "window" else None}
    allowed = np.broadcast_to((j <= i if kind["causal"] else j >= 0) & (i - j < (kind["window"] or m)), (2, 1, n, m))
    if case == "lengths":
        kind["key_lengths"] = jnp.asarray([200, 77], jnp.int32)
        allowed = allowed & (j < np.asarray([200, 77])[:, None, None, None])

    @jax.jit
    def run(q, k, v):
        out, total = splash.forward(q, k, v, **kind)
        whole, whole_total = fused._joined(out, total, other, other_total)
        return out, total, whole, whole_total, splash.backward(q, k, v, whole, whole_total, d_out, **kind)

    out, total, whole, whole_total, gradients = run(q, k, v)
    close(out, exact(q, k, v, d_out, allowed, 1.0)[0], 1e-5)
    q, k, v, d_out, whole, whole_total = (np.asarray(x, np.float64) for x in (q, k, v, d_out, whole, whole_total))
    weights = np.where(allowed, np.exp(np.einsum("bnhk,bmhk->bhnm", q, k) - whole_total[..., None]), 0.0)
    d_weights = np.einsum("bnhk,bmhk->bhnm", d_out, v) - np.einsum("bnhk,bnhk->bhn", d_out, whole)[..., None]
    d_logits = weights * d_weights
    close(gradients[0], np.einsum("bhnm,bmhk->bnhk", d_logits, k), 1e-5)
    close(gradients[1], np.einsum("bhnm,bnhk->bmhk", d_logits, q), 1e-5)
    close(gradients[2], np.einsum("bhnm,bnhk->bmhk", weights, d_out), 1e-5)
