"""Greedy decoding and sampling over a table of next tokens: what is chosen, how often, and when it stops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoding_toys import EOS, TableModel, padded

from t2t.inference.sampling import choose_greedily, generate, restrict, sampler


def keys(count: int, seed: int = 0) -> jax.Array:
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(count))


def greedy_by_hand(model: TableModel, row: int, length: int) -> list[int]:
    tokens = []
    while len(tokens) < length and EOS not in tokens:
        history = [0, 0, *tokens]
        tokens.append(int(np.argmax(model.table[row, len(tokens), history[-2], history[-1]])))
    return tokens


@pytest.mark.parametrize(("eos", "seed"), [(0.0, 1), (1.0, 2), (-100.0, 3), (100.0, 4)])
def test_greedy_takes_the_likeliest_until_the_end(eos, seed):
    model = TableModel.random(seed, rows=6, length=7, v=5, eos=eos)
    found = generate(model.first_logits, model.state(), model.step, choose_greedily, max_length=7, eos_ids=(EOS,))
    expected = [greedy_by_hand(model, row, 7) for row in range(6)]
    np.testing.assert_array_equal(found.tokens, [padded(e, 7) for e in expected])
    np.testing.assert_allclose(found.scores, [model.log_probability(r, e) for r, e in enumerate(expected)], rtol=1e-5)


@pytest.mark.parametrize("max_length", [1, 2])
def test_the_shortest_lengths(max_length):
    model = TableModel.random(5, rows=3, length=4, v=4)
    found = generate(
        model.first_logits, model.state(), model.step, choose_greedily, max_length=max_length, eos_ids=(EOS,)
    )
    np.testing.assert_array_equal(
        found.tokens, [padded(greedy_by_hand(model, r, max_length), max_length) for r in range(3)]
    )


def ending_at(lengths) -> TableModel:
    """A row for each length, whose likeliest text has it."""
    table = np.zeros((len(lengths), 16, 4, 4, 4))
    table[..., 2] = 5.0
    for row, n in enumerate(lengths):
        table[row, n - 1, ..., EOS] = 20.0
    return TableModel(table)


@pytest.mark.parametrize(("lengths", "calls"), [([3, 5, 2], 4), ([1, 1, 1], 0), ([15, 1, 1], 11)])
def test_stops_when_the_last_row_has_ended(lengths, calls):
    model, seen = ending_at(lengths), []

    def step(tokens, state):
        jax.debug.callback(lambda length: seen.append(int(length[0])), state["length"])
        return model.step(tokens, state)

    run = jax.jit(functools.partial(generate, step=step, choose=choose_greedily, max_length=12, eos_ids=(EOS,)))
    found = run(model.first_logits, model.state())
    jax.effects_barrier()
    assert len(seen) == calls
    assert [int((row == 2).sum()) for row in found.tokens] == [min(n - 1, 12) for n in lengths]


def chi_square(draws: np.ndarray, probabilities: np.ndarray) -> float:
    expected = probabilities * len(draws)
    counts = np.bincount(draws, minlength=len(probabilities))
    inside = probabilities > 0
    assert counts[~inside].sum() == 0
    return float(((counts - expected)[inside] ** 2 / expected[inside]).sum())


LOGITS = np.array([1.0, -0.5, 0.3, 2.0, -3.0, 0.0, 1.5], np.float32)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


# The last column is the 99.99th percentile of chi-square with as many degrees of freedom as tokens are left, less one.
@pytest.mark.parametrize(
    ("settings", "left", "critical"),
    [
        ({}, range(7), 27.9),
        ({"temperature": 0.5}, range(7), 27.9),
        ({"temperature": 2.5}, range(7), 27.9),
        ({"top_k": 3}, (0, 3, 6), 18.4),
        ({"top_p": 0.75}, (0, 3, 6), 18.4),
        ({"top_k": 5, "top_p": 0.9, "temperature": 1.5}, (0, 2, 3, 6), 21.1),
    ],
)
def test_draws_follow_the_softmax_of_what_is_left(settings, left, critical):
    count, left = 20_000, list(left)
    draw = jax.jit(sampler(keys(count), **settings))
    tokens = np.asarray(draw(jnp.tile(LOGITS, (count, 1)), jnp.asarray(4)))
    probabilities = np.zeros(7)
    probabilities[left] = softmax(LOGITS[left] / settings.get("temperature", 1.0))
    assert chi_square(tokens, probabilities) < critical


def test_successive_draws_of_a_row_are_independent():
    """Pairs (token at step 0, token at step 1) follow the product of the probabilities."""
    count = 20_000
    choose = jax.jit(sampler(keys(count, seed=3)))
    logits = jnp.tile(LOGITS[:4], (count, 1))
    pairs = 4 * np.asarray(choose(logits, jnp.asarray(0))) + np.asarray(choose(logits, jnp.asarray(1)))
    p = softmax(LOGITS[:4])
    assert chi_square(pairs, np.outer(p, p).reshape(-1)) < 44.3  # 15 degrees of freedom


@pytest.mark.parametrize("top_k", [1, 2, 5, 9])
def test_top_k_keeps_the_k_likeliest(top_k):
    logits = jax.random.normal(jax.random.key(top_k), (50, 9))
    kept = np.isfinite(restrict(logits, top_k, 1.0))
    order = np.argsort(-np.asarray(logits), axis=-1)
    for row in range(50):
        assert set(np.flatnonzero(kept[row])) == set(order[row, :top_k])


def test_top_k_beyond_the_vocabulary_keeps_all():
    logits = jax.random.normal(jax.random.key(0), (3, 5))
    np.testing.assert_array_equal(restrict(logits, 50, 1.0), logits)


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.8, 0.999])
def test_top_p_keeps_the_fewest_tokens_with_the_mass(top_p):
    logits = np.asarray(jax.random.normal(jax.random.key(7), (50, 9))) * 2
    kept = np.isfinite(restrict(jnp.asarray(logits), 0, top_p))
    for row in range(50):
        p = softmax(logits[row].astype(np.float64))
        order, mass, expected = np.argsort(-p), 0.0, set()
        for token in order:
            expected.add(token)
            mass += p[token]
            if mass >= top_p:
                break
        assert set(np.flatnonzero(kept[row])) == expected


def test_what_is_kept_keeps_its_logits():
    logits = jax.random.normal(jax.random.key(1), (4, 9))
    kept = np.asarray(restrict(logits, 4, 0.9))
    np.testing.assert_array_equal(kept[np.isfinite(kept)], np.asarray(logits)[np.isfinite(kept)])


@pytest.mark.parametrize(
    "settings", [{"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-6}, {"top_k": 1, "temperature": 9.0}]
)
def test_without_chance_sampling_is_greedy(settings):
    model = TableModel.random(11, rows=8, length=6, v=6)
    run = functools.partial(generate, model.first_logits, model.state(), model.step, max_length=6, eos_ids=(EOS,))
    greedy, sampled = run(choose_greedily), run(sampler(keys(8), **settings))
    np.testing.assert_array_equal(sampled.tokens, greedy.tokens)
    np.testing.assert_allclose(sampled.scores, greedy.scores, rtol=1e-6)


def test_scores_are_the_models_own_probabilities():
    """Not those under the temperature or within top-k, so that they compare across ways of drawing."""
    model = TableModel.random(12, rows=6, length=6, v=5)
    found = generate(
        model.first_logits,
        model.state(),
        model.step,
        sampler(keys(6), temperature=3.0, top_k=4),
        max_length=6,
        eos_ids=(EOS,),
    )
    for row, tokens in enumerate(np.asarray(found.tokens)):
        ends = np.flatnonzero(tokens == EOS)
        said = tokens[: ends[0] + 1] if len(ends) else tokens
        np.testing.assert_allclose(found.scores[row], model.log_probability(row, said), rtol=1e-5)
        assert not tokens[len(said) :].any()


def test_another_seed_or_row_draws_otherwise():
    table = np.zeros((64, 8, 6, 6, 6))  # all rows alike, and they never end
    table[..., EOS] = -100.0
    model = TableModel(table)
    run = functools.partial(generate, model.first_logits, model.state(), model.step, max_length=8, eos_ids=(EOS,))
    first, again, other = (np.asarray(run(sampler(keys(64, seed))).tokens) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).mean() > 0.9
    assert len({tuple(row) for row in first}) == 64
