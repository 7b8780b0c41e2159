"""What queries get that see nothing but padding."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t.attention import Conditions, Sparse
from t2t.layers import LayerConfig
from t2t.layers.attention import Attention

CONFIG = LayerConfig(width=8, heads=2, mlp_width=8, blind="mean")
MASK = jnp.asarray([[1] * 7, [0] * 4 + [1] * 3])  # blocks of three: the first of the second row is padding


def published(params, x):
    """Block by block, with a number on padding beside which logits vanish (CANINE's local attention)."""
    queries, keys, values = (
        jnp.einsum("bnd,dhk->bnhk", x, params[name]["kernel"]) + params[name]["bias"]
        for name in ("query", "key", "value")
    )
    mixed = []
    for start in range(0, 7, 3):
        here = slice(start, start + 3)
        logits = jnp.einsum("bnhk,bmhk->bhnm", queries[:, here], keys[:, here]) / 2.0
        logits = logits + (1 - MASK[:, None, None, here]) * jnp.finfo(jnp.float32).min
        mixed.append(jnp.einsum("bhnm,bmhk->bnhk", jax.nn.softmax(logits), values[:, here]))
    return jnp.einsum("bnhk,hkd->bnd", jnp.concatenate(mixed, axis=1), params["out"]["kernel"]) + params["out"]["bias"]


def test_they_get_its_mean_and_learn_from_it_as_published():
    module = Attention(CONFIG, Sparse(pattern="blocks(3)", counted="row"))
    x = jax.random.normal(jax.random.key(0), (2, 7, 8))
    conditions = Conditions(query_segments=jnp.ones_like(MASK), key_segments=MASK)
    params = nn.meta.unbox(module.init(jax.random.key(1), x, x, conditions))["params"]
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(2), p.shape), params)

    def ours(params, x):
        return module.apply({"params": params}, x, x, conditions)[0]

    np.testing.assert_allclose(ours(params, x), published(params, x), atol=1e-5)
    found, expected = (
        jax.grad(lambda *given, f=f: jnp.sum(jnp.sin(f(*given))), argnums=(0, 1))(params, x) for f in (ours, published)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)
