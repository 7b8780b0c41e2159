"""The losses that transformers' classes give with `labels=`: −100 is ignored, and means are over the rest."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from t2t.models import ModelConfig

IGNORED = -100
Arrays = Mapping[str, jax.Array]


def loss_of(
    found: Arrays, labels: Arrays, features: Arrays, config: ModelConfig, problem: str | None
) -> jax.Array | None:
    """The sum of the losses of all outputs that have labels, a float32 scalar; None where none has. `problem` is
    config.json's `problem_type`, or what the family has in its place."""
    losses = []
    for name in config.outputs:
        if name == "vocabulary" and "labels" in labels:
            losses.append(_of_tokens(found[name], labels["labels"], config))
        elif name == "pair" and (told := [labels[key] for key in _pairs(config) if key in labels]):
            losses.append(cross_entropy(found[name], told[0].reshape(-1)))
        elif name == "replaced" and "labels" in labels:
            losses.append(_binary(found[name], labels["labels"], features.get("encoder_segments")))
        elif name == "sequence" and "labels" in labels:
            losses.append(_of_sequences(found[name], labels["labels"], problem))
        elif name == "choice" and "labels" in labels:
            losses.append(cross_entropy(found[name].reshape(len(labels["labels"]), -1), labels["labels"]))
        elif name == "tagging" and "labels" in labels:
            losses.append(cross_entropy(found[name], labels["labels"]))
        elif name == "spans" and labels.keys() >= {"start_positions", "end_positions"}:
            losses.append(_of_spans(found[name], labels["start_positions"], labels["end_positions"]))
    return sum(losses) if losses else None


def _pairs(config: ModelConfig) -> tuple[str, ...]:
    """The names that a pair's label has; beside a language model `labels` are those of its tokens."""
    return ("next_sentence_label", "sentence_order_label", *(("labels",) if len(config.outputs) == 1 else ()))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean of −log p over labels that are not ignored: logits [… c], labels int […]."""
    counted = labels != IGNORED
    logp = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    chosen = jnp.take_along_axis(logp, jnp.where(counted, labels, 0)[..., None], axis=-1)[..., 0]
    return -(chosen * counted).sum() / counted.sum()


def _of_tokens(logits: jax.Array, labels: jax.Array, config: ModelConfig) -> jax.Array:
    """Decoders alone predict the next token of the labels; all others the label of the position."""
    if config.architecture == "decoder":
        logits, labels = logits[:, :-1], labels[:, 1:]
    return cross_entropy(logits, labels)


def _of_sequences(logits: jax.Array, labels: jax.Array, problem: str | None) -> jax.Array:
    """Of a class; of a number, the squared error; of several labels at once, each its own, or each a probability."""
    if problem == "probabilities" and logits.shape[-1] > 1 and labels.ndim > 1 and labels.shape[-1] > 1:
        return -(jax.nn.log_softmax(logits, axis=-1) * labels).sum(-1).mean()
    if problem in (None, "probabilities"):
        problem = "regression" if logits.shape[-1] == 1 else "single_label_classification"
        if problem != "regression" and jnp.issubdtype(labels.dtype, jnp.floating):
            problem = "multi_label_classification"
    if problem == "regression":
        return jnp.mean(jnp.square(logits.reshape(-1) - labels.reshape(-1)))
    if problem == "multi_label_classification":
        return _binary(logits, labels, None)
    return cross_entropy(logits, labels.reshape(-1))


def _binary(logits: jax.Array, labels: jax.Array, counted: jax.Array | None) -> jax.Array:
    """The mean of −log p of independent answers, yes or no."""
    loss = jnp.maximum(logits, 0.0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    counted = jnp.ones(loss.shape) if counted is None else counted > 0
    return (loss * counted).sum() / counted.sum()


def _of_spans(logits: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """The mean of both ends'; positions outside of the sequence are ignored."""
    n = logits.shape[1]

    def of(logits, at):
        at = at.reshape(-1)
        return cross_entropy(logits, jnp.where((at < 0) | (at >= n), IGNORED, at))

    return (of(logits[..., 0], start) + of(logits[..., 1], end)) / 2
