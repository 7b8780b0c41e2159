"""Longformer's and BigBird's attention are patterns: equal to Hugging Face's PyTorch layers, outputs and gradients."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import published

from t2t.attention import attend, block_table, global_tokens, local


@pytest.fixture(scope="module", params=["golden", pytest.param("live", marks=pytest.mark.pytorch)])
def results(request):
    """case → what the peer gave."""
    if request.param == "golden":
        return lambda case: dict(np.load(published.GOLDEN / f"{case}.npz"))
    return lambda case: getattr(published, case)()


def compare(found, pattern, implementation):
    def total(hidden):
        q, k, v = (
            (hidden @ found[f"{name}.weight"].T + found[f"{name}.bias"]).reshape(*hidden.shape[:2], published.H, -1)
            for name in ("query", "key", "value")
        )
        segments = jnp.asarray(found["segments"])
        out = attend(
            q, k, v, pattern=pattern, query_segments=segments, key_segments=segments, implementation=implementation
        )
        out = out.reshape(hidden.shape)
        return (out * found["weight"]).sum(), out

    (_, out), d_hidden = jax.value_and_grad(total, has_aux=True)(jnp.asarray(found["hidden"]))
    real = found["segments"] > 0
    np.testing.assert_allclose(np.asarray(out)[real], found["out"][real], atol=2e-5)
    np.testing.assert_allclose(d_hidden, found["d_hidden"], atol=2e-5 * np.abs(found["d_hidden"]).max())


@pytest.mark.parametrize("implementation", ["reference", "tiles"])
def test_longformer(results, implementation):
    compare(results("longformer"), local(5) | global_tokens(3), implementation)


@pytest.mark.parametrize("implementation", ["reference", "tiles"])
def test_big_bird(results, implementation):
    found = results("big_bird")
    block, total = int(found["block"]), found["hidden"].shape[1] // int(found["block"])
    heads = []
    for drawn in found["random"]:
        table = [range(total)]
        for i in range(1, total - 1):
            table.append(sorted({0, i - 1, i, i + 1, total - 1, *drawn[i - 1].tolist()}))
        heads.append(block_table(block, [*table, range(total)]))
    assert heads[0] != heads[1]
    compare(found, heads, implementation)
