"""The loss against its formulas with explicit one-hot targets, in NumPy and float64; and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.objectives.losses import cross_entropy

GENERATOR = np.random.default_rng(3)
LOGITS = 3.0 * GENERATOR.normal(size=(2, 5, 11))
TARGETS = GENERATOR.integers(0, 11, (2, 5))
WEIGHTS = np.asarray([[1, 1, 1, 0, 0], [1, 0.5, 0, 1, 1]])


def formula(logits, z_loss, smoothing):
    """The smoothed target's cross entropy, and z_loss·log²Z, with a dense target."""
    top = logits.max(-1, keepdims=True)
    log_z = (np.log(np.exp(logits - top).sum(-1, keepdims=True)) + top)[..., 0]
    one_hot = np.eye(11)[TARGETS]
    target = (1 - smoothing) * one_hot + smoothing / 11
    each = -(target * (logits - log_z[..., None])).sum(-1) + z_loss * log_z**2
    return (each * WEIGHTS).sum(), (-(one_hot * (logits - log_z[..., None])).sum(-1) * WEIGHTS).sum()


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_the_formulas(z_loss, smoothing):
    def ours(logits):
        return cross_entropy(
            logits, jnp.asarray(TARGETS), jnp.asarray(WEIGHTS), z_loss=z_loss, label_smoothing=smoothing
        )

    (loss, sums), gradient = jax.value_and_grad(ours, has_aux=True)(jnp.asarray(LOGITS, jnp.float32))
    expected, nll = formula(LOGITS, z_loss, smoothing)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(sums["nll"], nll, rtol=1e-5)
    assert float(sums["weights"]) == WEIGHTS.sum()
    assert float(sums["correct"]) == ((LOGITS.argmax(-1) == TARGETS) * WEIGHTS).sum()
    step = 1e-5
    for index in ((0, 0, 0), (0, 4, 2), (1, 1, int(TARGETS[1, 1])), (1, 4, 10)):
        up, down = LOGITS.copy(), LOGITS.copy()
        up[index] += step
        down[index] -= step
        slope = (formula(up, z_loss, smoothing)[0] - formula(down, z_loss, smoothing)[0]) / (2 * step)
        np.testing.assert_allclose(gradient[index], slope, atol=2e-5)


def test_great_logits_do_not_overflow():
    loss, _ = cross_entropy(jnp.full((1, 1, 4), 1e4), jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1)), z_loss=1e-4)
    np.testing.assert_allclose(loss, np.log(4) + 1e-4 * (1e4 + np.log(4)) ** 2, rtol=1e-5)


def test_nothing_of_the_size_of_the_vocabulary_is_built_from_the_targets():
    """No one-hot: every array of the logits' size in the program descends from the logits."""
    shape = (4, 8, 1000)
    program = jax.make_jaxpr(
        lambda logits, targets, weights: cross_entropy(logits, targets, weights, label_smoothing=0.1, z_loss=1e-4)
    )(jnp.zeros(shape), jnp.zeros(shape[:2], jnp.int32), jnp.ones(shape[:2]))
    from_logits = {program.jaxpr.invars[0]}
    for equation in program.jaxpr.eqns:
        if any(v in from_logits for v in equation.invars if not hasattr(v, "val")):
            from_logits.update(equation.outvars)
        else:
            assert all(v.aval.size < np.prod(shape) for v in equation.outvars), equation
