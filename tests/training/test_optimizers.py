"""The optimizers against the papers' algorithms, written out in NumPy and float64."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t2t.errors import ConfigError
from t2t.training import Adafactor, AdamW

RATES = [0.3, 0.2, 0.1, 0.05, 0.02]


def parameters():
    generator = np.random.default_rng(0)
    return {
        "wide": {"kernel": generator.normal(size=(160, 130))},
        "narrow": {"kernel": 0.1 * generator.normal(size=(12, 200))},
        "norm": {"scale": 1e-5 * generator.normal(size=(16,))},
    }


def gradients(step):
    generator = np.random.default_rng(100 + step)
    return {
        k: {n: 10.0 ** generator.uniform(-4, 1) * generator.normal(size=v.shape) for n, v in d.items()}
        for k, d in parameters().items()
    }


def run(optimizer):
    """The parameters after the steps, by t2t."""
    transform = optimizer.transform(lambda step: jnp.asarray(RATES, jnp.float32)[step])
    params = {k: {n: jnp.asarray(v, jnp.float32) for n, v in d.items()} for k, d in parameters().items()}
    state = transform.init(params)
    for step in range(len(RATES)):
        given = {k: {n: jnp.asarray(v, jnp.float32) for n, v in d.items()} for k, d in gradients(step).items()}
        updates, state = transform.update(given, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def adafactor(value, grads, factored):
    """Shazeer & Stern 2018, algorithms 4 and 5, step sizes given: no momentum, d = 1, ε₁ 1e-30, ε₂ 1e-3."""
    row = column = second = 0.0
    for t, (rate, grad) in enumerate(zip(RATES, grads), start=1):
        decay = 1.0 - t**-0.8
        square = grad**2 + 1e-30
        if factored:
            row = decay * row + (1 - decay) * square.mean(axis=1)
            column = decay * column + (1 - decay) * square.mean(axis=0)
            estimate = np.outer(row, column) / row.mean()
        else:
            second = decay * second + (1 - decay) * square
            estimate = second
        update = grad / np.sqrt(estimate)
        update = update / max(1.0, rms(update))
        value = value - rate * max(1e-3, rms(value)) * update
    return value


def test_adafactor_is_the_papers_algorithm():
    found, state = run(Adafactor())
    for name, leaf, factored in (("wide", "kernel", True), ("narrow", "kernel", False), ("norm", "scale", False)):
        grads = [gradients(s)[name][leaf] for s in range(len(RATES))]
        expected = adafactor(parameters()[name][leaf], grads, factored)
        np.testing.assert_allclose(found[name][leaf], expected, rtol=2e-4, atol=1e-6 * np.abs(expected).max())
    assert not any(leaf.shape == (160, 130) for leaf in _leaves(state)), "the wide matrix's moments are factored"


def test_adafactor_sees_a_projection_onto_heads_as_one_matrix():
    generator = np.random.default_rng(1)
    shapes = {"query": (160, 4, 50), "out": (4, 50, 160)}
    params = {k: generator.normal(size=s) for k, s in shapes.items()}
    grads = [{k: generator.normal(size=s) for k, s in shapes.items()} for _ in RATES]

    def tree(values):
        leaves = {k: {"kernel": jnp.asarray(v, jnp.float32)} for k, v in values.items()}
        return {"layer_0": {"self_attention": leaves}}

    transform = Adafactor().transform(lambda step: jnp.asarray(RATES, jnp.float32)[step])
    found = tree(params)
    state = transform.init(found)
    assert sum(x.size for x in _leaves(state)) < 1000  # rows and columns, not 32,000 second moments each
    for given in grads:
        updates, state = transform.update(tree(given), state, found)
        found = optax.apply_updates(found, updates)
    for name, matrix in (("query", (160, 200)), ("out", (200, 160))):
        expected = adafactor(params[name].reshape(matrix), [g[name].reshape(matrix) for g in grads], factored=True)
        leaf = found["layer_0"]["self_attention"][name]["kernel"]
        assert leaf.shape == shapes[name]
        np.testing.assert_allclose(leaf.reshape(matrix), expected, rtol=2e-4, atol=1e-6 * np.abs(expected).max())


def _leaves(tree):
    import jax

    return [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]


def test_adamw_is_the_papers_algorithm_and_decays_matrices_alone():
    optimizer = AdamW(b1=0.8, b2=0.95, epsilon=1e-3, weight_decay=0.1)
    found, _ = run(optimizer)
    for name, leaf, decay in (("wide", "kernel", 0.1), ("norm", "scale", 0.0)):
        value, first, second = parameters()[name][leaf], 0.0, 0.0
        for t, rate in enumerate(RATES, start=1):
            grad = gradients(t - 1)[name][leaf]
            first, second = 0.8 * first + 0.2 * grad, 0.95 * second + 0.05 * grad**2
            step = (first / (1 - 0.8**t)) / (np.sqrt(second / (1 - 0.95**t)) + 1e-3)
            value = value - rate * (step + decay * value)
        np.testing.assert_allclose(found[name][leaf], value, rtol=1e-4, atol=1e-5 * np.abs(value).max())


def test_rates_that_cannot_be():
    with pytest.raises(ConfigError, match=r"b2: expected a rate in \[0, 1\), found 1.0"):
        AdamW(b2=1.0)
