"""Vocabularies in clusters: the softmax is the two steps' in float64, and its losses score only what targets need."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import params_of
from flax import linen as nn
from scipy.special import logsumexp

from t2t.errors import ConfigError
from t2t.layers import adaptive
from t2t.layers.adaptive import Adaptive
from t2t.models import ModelConfig, build

BASE = ModelConfig(
    architecture="decoder", vocab_size=37, width=8, heads=2, mlp_width=12, decoder_layers=1, positions="none",
    adaptive=Adaptive(cutoffs=(5, 11, 30)),
)  # fmt: skip
TIED = (False, True, True, True)
EVERY = {
    "one table": BASE,
    "projected": dataclasses.replace(BASE, embedding_width=6, adaptive=Adaptive(cutoffs=(5, 30))),
    "shared projection": dataclasses.replace(
        BASE, embedding_width=6, adaptive=Adaptive(cutoffs=(5, 11, 30), tied_projections=TIED)
    ),
    "narrower": dataclasses.replace(
        BASE, adaptive=Adaptive(cutoffs=(5, 11, 30), divisor=2, tied_projections=TIED)
    ),
    "own tables": dataclasses.replace(BASE, tie_logits=False, adaptive=Adaptive(cutoffs=(20,), divisor=3)),
    "one cluster": dataclasses.replace(BASE, adaptive=Adaptive()),
}  # fmt: skip
TOKENS = np.random.default_rng(1).integers(0, 37, (3, 9)).astype(np.int32)
TARGETS = np.concatenate([np.random.default_rng(2).integers(0, 37, 23), [4, 5, 10, 36]]).reshape(3, 9).astype(np.int32)
BATCH = {"decoder_inputs": TOKENS, "targets": TARGETS}


def outputs(config, params, batch=BATCH):
    return build(config).apply({"params": params}, batch, method="outputs")


def log_softmax(x):
    return x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True)


def formula(config, params, states):
    """Grave et al. 2017: a word of a later cluster has its cluster's probability times its own within it."""
    states, tokens, logits = jax.tree.map(
        lambda x: np.asarray(x, np.float64), (states, params["tokens"], params["logits"])
    )
    own, ends = config.adaptive, [0, *config.adaptive.cutoffs, config.vocab_size]
    tables, found = tokens if config.tie_logits else logits, []
    for i, (start, end) in enumerate(zip(ends, ends[1:])):
        which, part = (0, slice(start, end)) if own.divisor == 1 else (i, slice(None))
        rows, bias, x = tables[f"table_{which}"][part], logits[f"bias_{which}"][part], states
        if i == 0 and own.cutoffs:
            rows, bias = np.concatenate([rows, logits["clusters"]]), np.concatenate([bias, logits["clusters_bias"]])
        if own.divisor > 1 or config.embedding_width:
            shared = own.tied_projections and own.tied_projections[i]
            x = states @ (tokens[f"projection_{which}"] if shared else logits[f"projection_{i}"])
        scores = log_softmax(x @ rows.T + bias)
        if i == 0:
            head = scores
            found.append(scores[..., :end])
        else:
            found.append(head[..., ends[1] + i - 1, None] + scores)
    return np.concatenate(found, -1)


@pytest.mark.parametrize("name", EVERY)
def test_logits_are_the_log_probabilities_of_the_formula(name):
    config = EVERY[name]
    params = params_of(config, 0.5)
    found = outputs(config, params)
    np.testing.assert_allclose(found["vocabulary"], formula(config, params, found["states"]), atol=2e-5)
    np.testing.assert_allclose(np.exp(found["vocabulary"]).sum(-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_targets_alone_are_scored_as_all_words_are(name, monkeypatch):
    config = EVERY[name]
    params = params_of(config, 0.5)

    def of_all(params):
        logits = outputs(config, params)["vocabulary"]
        logp = jnp.take_along_axis(logits, TARGETS[..., None], axis=-1)[..., 0]
        return jnp.sin(logp).sum(), (logp, logits)

    def of_targets(params):
        logp, best = outputs(config, params)["of_targets"]
        return jnp.sin(logp).sum(), (logp, best)

    expected, (wanted, logits) = jax.grad(of_all, has_aux=True)(params)
    ends = [0, *config.adaptive.cutoffs, config.vocab_size]
    logits, beaten = np.asarray(logits), np.zeros(TARGETS.shape, bool)
    for i, (start, end) in enumerate(zip(ends, ends[1:])):
        words, own = logits[..., start:end], (start <= TARGETS) & (end > TARGETS)
        whole = logsumexp(words, axis=-1) if i else words.max(-1)
        beaten |= wanted < np.where(own, words.max(-1), whole) - 1e-6
    ours = jax.grad(of_targets, has_aux=True)
    for chunk, gradient in ((4, jax.jit(ours)), (512, ours)):  # some at a time, and all at once
        monkeypatch.setattr(adaptive, "CHUNK", chunk)
        found, (logp, best) = gradient(params)
        np.testing.assert_allclose(logp, wanted, atol=1e-5)
        np.testing.assert_array_equal(best, ~beaten)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4), found, expected)


def arrays_of(jaxpr):
    """The shapes of all that a program makes, that of its inner programs too."""
    for equation in jaxpr.eqns:
        yield from (v.aval.shape for v in equation.outvars)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from arrays_of(inner)


def test_the_loss_makes_no_array_of_all_words(monkeypatch):
    monkeypatch.setattr(adaptive, "CHUNK", 16)
    config = dataclasses.replace(BASE, vocab_size=4_000, adaptive=Adaptive(cutoffs=(100, 1_000)))
    softmax = adaptive.AdaptiveSoftmax(config, config.adaptive, 4_000, 8, True)
    table = adaptive.AdaptiveEmbedding(config, config.adaptive, 4_000, 8)

    class Both(nn.Module):
        def setup(self):
            self.table, self.softmax = table.clone(), softmax.clone()

        def __call__(self, x, targets):
            return self.softmax.of_targets(self.table, x, targets)[0].sum()

    x, targets = jnp.ones((8, 64, 8)), jnp.ones((8, 64), jnp.int32)
    variables = nn.meta.unbox(Both().init(jax.random.key(0), x, targets))
    program = jax.make_jaxpr(jax.grad(lambda v, x: Both().apply(v, x, targets), argnums=(0, 1)))(variables, x)
    largest = max(int(np.prod(shape)) for shape in arrays_of(program.jaxpr))
    assert largest < 512 * 4_000 // 10  # all words of all tokens, by ten


def test_what_cannot_be_is_refused():
    for wrong in (
        {"cutoffs": (5, 5)},
        {"cutoffs": (0,)},
        {"divisor": 0},
        {"cutoffs": (5,), "tied_projections": (True,)},
    ):
        with pytest.raises(ValueError, match="expected"):
            Adaptive(**wrong)
    with pytest.raises(ConfigError, match="leave no word for the last cluster of 37"):
        dataclasses.replace(BASE, adaptive=Adaptive(cutoffs=(37,)))
    with pytest.raises(ConfigError, match="leaves nothing of width 8 in 4 clusters"):
        dataclasses.replace(BASE, adaptive=Adaptive(cutoffs=(5, 11, 30), divisor=4))
    with pytest.raises(ConfigError, match="logits_bias"):
        dataclasses.replace(BASE, logits_bias=True)
