"""The loss of a batch, from integer labels: nothing of the size of the vocabulary is built beside the logits."""

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array, targets: jax.Array, weights: jax.Array, *, z_loss: float = 0.0, label_smoothing: float = 0.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Sums over a batch, to be divided by the sum of weights over all devices and microbatches.

    The smoothed target is (1 − ε) on the label and ε spread evenly over the whole vocabulary (Szegedy et al. 2016;
    Vaswani et al. 2017, section 5.4), whose cross entropy is logsumexp − (1 − ε) logit[label] − ε mean(logits). The
    z-loss adds `z_loss`·logsumexp², which keeps logits from drifting (Mesh TensorFlow; T5 used 1e-4).

    Args:
      logits: [… v]: of tokens [b n v].
      targets: int […].
      weights: […].

    Returns:
      The weighted sum of losses, float32, and sums to report: `nll` (cross entropy alone, unsmoothed), `correct`,
      `weights`.
    """
    logits, weights = logits.astype(jnp.float32), weights.astype(jnp.float32)
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    label = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = normaliser - label
    loss = nll
    if label_smoothing:
        loss = normaliser - (1.0 - label_smoothing) * label - label_smoothing * logits.mean(axis=-1)
    if z_loss:
        loss = loss + z_loss * jnp.square(normaliser)
    # Right where nothing beats the label: cheaper than an argmax, which needs a second pass with indices.
    correct = label >= jax.lax.stop_gradient(logits.max(axis=-1))
    return jnp.sum(loss * weights), {
        "nll": jnp.sum(nll * weights),
        "correct": jnp.sum(correct * weights),
        "weights": jnp.sum(weights),
    }


def squared_error(numbers: jax.Array, targets: jax.Array, weights: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What `cross_entropy` returns, of numbers: numbers, targets and weights float [b]. `nll` is the squared error, and
    a number is correct that is less than a half away."""
    weights = weights.astype(jnp.float32)
    error = numbers.astype(jnp.float32) - targets
    loss = jnp.sum(jnp.square(error) * weights)
    correct = jnp.sum((jnp.abs(error) < 0.5) * weights)
    return loss, {"nll": loss, "correct": correct, "weights": jnp.sum(weights)}


def of_log_probabilities(
    logp: jax.Array, correct: jax.Array, weights: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What `cross_entropy` gives, of the log-probability of each target [b n] and whether it is the likeliest [b n].

    There is no z-loss: the normaliser of what is normalised is 1.
    """
    weights = weights.astype(jnp.float32)
    nll = -jnp.sum(logp * weights)
    return nll, {"nll": nll, "correct": jnp.sum(correct * weights), "weights": jnp.sum(weights)}
