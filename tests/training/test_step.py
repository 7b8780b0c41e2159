"""One step of training: what is summed, divided, clipped, skipped and drawn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import params_of
from runs import MODEL

from t2t.data.converters import DecoderConverter, EncoderDecoderConverter
from t2t.models import build
from t2t.training import AdamW, TrainConfig
from t2t.training.step import make_train_step, new_state

QUIET = dataclasses.replace(MODEL, dropout=0.0)
RATE = 0.5


def examples(count, seed=0):
    generator = np.random.default_rng(seed)
    return [
        {
            "inputs": generator.integers(3, 380, generator.integers(2, 7)).astype(np.int32),
            "targets": generator.integers(3, 380, generator.integers(1, 5)).astype(np.int32),
        }
        for _ in range(count)
    ]


def batch_of(rows, lengths=(16, 16)):
    return EncoderDecoderConverter(inputs_length=lengths[0], targets_length=lengths[1])(rows, lengths)


def step(config, batch, model=QUIET, params=None, transform=None, state=None):
    """One step, by gradient descent at RATE unless another rule is given."""
    transform = transform or optax.sgd(RATE)
    function = jax.jit(make_train_step(build(model), transform, lambda step: jnp.float32(RATE), config))
    return function(
        new_state(params_of(model, 0.3) if params is None else params, transform) if state is None else state, batch
    )


def assert_close(a, b, atol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), a, b)


def moved(state):
    """How far the parameters went, as one vector."""
    start = params_of(QUIET, 0.3)
    return np.concatenate([np.ravel(a - b) for a, b in zip(*map(jax.tree.leaves, (state.params, start)))])


CONFIG = TrainConfig(clip_norm=0.0, batch_size=8)


def test_it_is_the_gradient_of_the_mean_over_tokens():
    batch = batch_of([[e] for e in examples(8)])

    def mean_loss(params):
        logits = build(QUIET).apply({"params": params}, batch)
        logp = jnp.take_along_axis(jax.nn.log_softmax(logits), batch["targets"][..., None], -1)[..., 0]
        return -(logp * batch["loss_weights"]).sum() / batch["loss_weights"].sum()

    loss, gradient = jax.value_and_grad(mean_loss)(params_of(QUIET, 0.3))
    state, metrics = step(CONFIG, batch)
    assert_close(state.params, jax.tree.map(lambda p, g: p - RATE * g, params_of(QUIET, 0.3), gradient))
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(metrics["gradient_norm"], optax.tree.norm(gradient), rtol=1e-5)
    assert int(state.step) == 1
    assert float(metrics["target_tokens"]) == batch["loss_weights"].sum()


@pytest.mark.parametrize("parts", [2, 4])
def test_microbatches_make_the_step_of_the_whole_batch(parts):
    batch = batch_of([[e] for e in examples(8)])  # rows of unequal numbers of tokens
    whole, _ = step(CONFIG, batch)
    split, metrics = step(dataclasses.replace(CONFIG, microbatches=parts), batch)
    assert_close(split.params, whole.params)
    np.testing.assert_allclose(metrics["loss"], step(CONFIG, batch)[1]["loss"], rtol=1e-6)


@pytest.mark.parametrize("architecture", ["encoder-decoder", "decoder", "prefix"])
def test_packed_and_separate_examples_make_the_same_step(architecture):
    given = examples(6, seed=3)
    model, converter, lengths = QUIET, EncoderDecoderConverter(inputs_length=24, targets_length=16), (24, 16)
    if architecture != "encoder-decoder":
        model = dataclasses.replace(QUIET, architecture="decoder", encoder_layers=0)
        converter = DecoderConverter(inputs_length=24, targets_length=16, prefix_attention=architecture == "prefix")
        lengths = (40,)
    packed = converter([given[:3], given[3:5], given[5:], []], lengths)
    separate = converter([[e] for e in given] + [[], []], lengths)
    a, of_packed = step(CONFIG, packed, model)
    b, of_separate = step(CONFIG, separate, model)
    assert float(of_packed["target_tokens"]) == float(of_separate["target_tokens"])
    np.testing.assert_allclose(of_packed["loss"], of_separate["loss"], rtol=1e-6)
    assert_close(a.params, b.params, atol=3e-6)


def test_a_constant_normaliser_takes_the_place_of_the_tokens():
    batch = batch_of([[e] for e in examples(8)])
    mean, metrics = step(CONFIG, batch)
    tokens = float(metrics["target_tokens"])
    constant, _ = step(dataclasses.replace(CONFIG, loss_normaliser=2 * tokens), batch)
    np.testing.assert_allclose(moved(constant), moved(mean) / 2, atol=1e-6)


def test_gradients_are_clipped_by_their_norm_together():
    batch = batch_of([[e] for e in examples(8)])
    free, metrics = step(CONFIG, batch)
    norm = float(metrics["gradient_norm"])
    clipped, _ = step(dataclasses.replace(CONFIG, clip_norm=norm / 3), batch)
    untouched, _ = step(dataclasses.replace(CONFIG, clip_norm=norm * 3), batch)
    np.testing.assert_allclose(moved(clipped), moved(free) / 3, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(moved(clipped)), RATE * norm / 3, rtol=1e-4)
    assert_close(untouched.params, free.params)


def test_label_smoothing_and_z_loss_are_trained_on_and_the_plain_loss_is_reported():
    batch = batch_of([[e] for e in examples(8)])
    plain, expected = step(CONFIG, batch)
    for changes in ({"label_smoothing": 0.1}, {"z_loss": 1e-2}):
        state, metrics = step(dataclasses.replace(CONFIG, **changes), batch)
        np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-6)
        assert float(metrics["objective"]) != pytest.approx(float(metrics["loss"]), rel=1e-4)
        assert np.abs(moved(state) - moved(plain)).max() > 1e-5


def test_dropout_is_a_function_of_seed_and_step():
    batch = batch_of([[e] for e in examples(8)])

    def after(seed, at):
        transform = optax.sgd(RATE)
        state = dataclasses.replace(new_state(params_of(QUIET, 0.3), transform), step=jnp.int32(at))
        return step(dataclasses.replace(CONFIG, seed=seed), batch, MODEL, state=state)[0]

    np.testing.assert_array_equal(moved(after(1, 5)), moved(after(1, 5)))
    assert np.abs(moved(after(1, 5)) - moved(after(1, 6))).max() > 1e-4
    assert np.abs(moved(after(1, 5)) - moved(after(2, 5))).max() > 1e-4


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted():
    good = batch_of([[e] for e in examples(8)])
    bad = {**good, "loss_weights": good["loss_weights"] * np.float32(1e37)}
    transform = AdamW().transform(lambda step: 0.1)
    start = new_state(params_of(QUIET, 0.3), transform)
    state, metrics = step(CONFIG, bad, transform=transform, state=start)
    jax.tree.map(np.testing.assert_array_equal, (state.params, state.optimizer), (start.params, start.optimizer))
    state, metrics = step(CONFIG, bad, transform=transform, state=state)
    assert (int(state.step), int(metrics["skipped"]), int(metrics["bad_in_a_row"])) == (2, 2, 2)
    state, metrics = step(CONFIG, good, transform=transform, state=state)
    assert (int(state.step), int(metrics["skipped"]), int(metrics["bad_in_a_row"])) == (3, 2, 0)
    assert np.isfinite(moved(state)).all()
    assert np.abs(moved(state)).max() > 0


def test_a_batch_of_padding_alone_moves_nothing():
    state, metrics = step(CONFIG, batch_of([[] for _ in range(8)]))
    assert np.abs(moved(state)).max() == 0
    assert float(metrics["loss"]) == 0
