"""Beam search against an exhaustive search, against a plain list-based search, and its stop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoding_toys import EOS, TableModel, padded, penalised, take_rows

from t2t.inference.beam import beam_search, penalty


def search(model: TableModel, beams: int, alpha: float, length: int):
    run = jax.jit(
        functools.partial(
            beam_search, step=model.step, reorder=take_rows, beams=beams, alpha=alpha, max_length=length, eos_ids=(EOS,)
        )
    )
    return run(model.first_logits, model.state(beams))


def by_hand(model: TableModel, row: int, beams: int, alpha: float, length: int):
    """The same search over lists: [(score, tokens)], best first. It never stops early.

    Twice as many candidates are kept as beams, so that enough are left when some end;
    only the better half of them may end.
    """
    alive, ended = [(0.0, ())], []
    for n in range(1, length + 1):
        candidates = sorted(
            (
                (model.log_probability(row, (*tokens, t)), (*tokens, t))
                for _, tokens in alive
                for t in range(model.table.shape[-1])
            ),
            reverse=True,
        )[: 2 * beams]
        ended += [(penalised(logp, n, alpha), tokens) for logp, tokens in candidates[:beams] if tokens[-1] == EOS]
        ended = sorted(ended, reverse=True)[:beams]
        alive = [c for c in candidates if c[1][-1] != EOS][:beams]
    return sorted(ended + [(penalised(logp, length, alpha), tokens) for logp, tokens in alive], reverse=True)[:beams]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("eos", [-2.0, 0.0, 2.0])
def test_wide_enough_it_is_exhaustive(alpha, eos):
    """With as many beams as there are unfinished hypotheses (3⁴), nothing is ever lost."""
    length, beams = 4, 81
    model = TableModel.random(17, rows=2, length=length, v=4, eos=eos)
    found = search(model, beams, alpha, length)
    for row in range(2):
        every = sorted(
            ((penalised(model.log_probability(row, h), len(h), alpha), h) for h in model.hypotheses(length)),
            reverse=True,
        )
        assert len(every) == 121
        np.testing.assert_allclose(found.scores[row], [score for score, _ in every[:beams]], rtol=1e-5)
        np.testing.assert_array_equal(found.tokens[row], [padded(h, length) for _, h in every[:beams]])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize(
    ("beams", "length", "eos", "sharpness"),
    [(1, 6, 0.0, 1.0), (2, 6, 1.0, 1.0), (3, 8, -1.0, 2.0), (4, 5, 3.0, 0.5), (4, 1, 0.0, 1.0), (5, 8, 0.5, 1.0)],
)
def test_narrow_it_is_the_search_by_hand(alpha, beams, length, eos, sharpness):
    model = TableModel.random(beams, rows=12, length=length, v=6, eos=eos, sharpness=sharpness)
    found = search(model, beams, alpha, length)
    for row in range(12):
        expected = by_hand(model, row, beams, alpha, length)
        np.testing.assert_allclose(found.scores[row], [score for score, _ in expected], rtol=1e-5)
        np.testing.assert_array_equal(found.tokens[row], [padded(h, length) for _, h in expected])


def by_hand_of_transformers(model, row, beams, alpha, early, length, eos_ids):
    """Its search over lists: at most `beams` of the best candidates end; a row closes as `early_stopping` says."""
    alive, ended, n = [(0.0, ())], [], 0
    while n < length and alive:
        n += 1
        candidates = sorted(
            (
                (model.log_probability(row, (*tokens, t)), (*tokens, t))
                for _, tokens in alive
                for t in range(model.table.shape[-1])
            ),
            reverse=True,
        )[: max(2, 1 + len(eos_ids)) * beams]
        ended += [(s / n**alpha, t) for s, t in candidates[:beams] if t[-1] in eos_ids or n == length]
        ended = sorted(ended, reverse=True)[:beams]
        alive = [c for c in candidates if c[1][-1] not in eos_ids][:beams]
        if len(ended) == beams:
            reached = length if early == "never" and alpha > 0 else n
            if early is True or alive[0][0] / reached**alpha <= ended[-1][0]:
                break
    return ended


@pytest.mark.parametrize("early", [True, False, "never"])
@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("eos_ids", [(), (EOS,), (EOS, 4)])
def test_it_stops_as_transformers_does(early, alpha, eos_ids):
    model = TableModel.random(43, rows=16, length=7, v=6, eos=0.7)
    settings = dict(beams=3, alpha=alpha, max_length=7, eos_ids=eos_ids, form="power", early_stopping=early)
    found = jax.jit(functools.partial(beam_search, step=model.step, reorder=take_rows, **settings))(
        model.first_logits, model.state(3)
    )
    for row in range(16):
        expected = by_hand_of_transformers(model, row, 3, alpha, early, 7, eos_ids)
        np.testing.assert_allclose(found.scores[row], [score for score, _ in expected], rtol=1e-5)
        np.testing.assert_array_equal(found.tokens[row], [padded(h, 7) for _, h in expected])


def test_the_ways_of_stopping_differ():
    model = TableModel.random(43, rows=16, length=7, v=6, eos=0.7)
    said = [
        [by_hand_of_transformers(model, row, 3, 1.0, early, 7, (EOS,)) for row in range(16)]
        for early in (True, False, "never")
    ]
    assert said[0] != said[1] != said[2]


def test_scores_fall_and_none_beats_the_exhaustive_best():
    """Scores fall from beam to beam; one beam misses the exhaustive best somewhere, and enough of them never do."""
    model = TableModel.random(23, rows=8, length=5, v=4)
    best = [search(model, beams, 0.0, 5).scores for beams in (1, 4, 243)]
    for scores in best:
        assert (np.diff(np.asarray(scores), axis=1) <= 0).all()
    exhaustive = [max(model.log_probability(row, h) for h in model.hypotheses(5)) for row in range(8)]
    np.testing.assert_allclose(best[2][:, 0], exhaustive, rtol=1e-5)
    assert (np.asarray(best[0][:, 0]) <= np.asarray(exhaustive) + 1e-5).all()
    assert (np.asarray(best[0][:, 0]) < np.asarray(exhaustive) - 1e-3).any()


@pytest.mark.parametrize(("eos", "shape"), [(-100.0, "never ends"), (100.0, "ends at once")])
def test_models_that_never_end_and_that_end_at_once(eos, shape):
    model = TableModel.random(29, rows=3, length=5, v=5, eos=eos)
    found = search(model, 3, 0.6, 5)
    tokens = np.asarray(found.tokens)
    if shape == "never ends":
        assert (tokens != EOS).all()
    else:
        np.testing.assert_array_equal(tokens[:, 0], np.tile(padded([EOS], 5), (3, 1)))
        np.testing.assert_allclose(found.scores[:, 0], 0.0, atol=1e-5)


def test_ended_hypotheses_are_padded_and_distinct():
    model = TableModel.random(31, rows=10, length=6, v=5, eos=0.5)
    for row in np.asarray(search(model, 5, 0.6, 6).tokens):
        assert len({tuple(h) for h in row}) == 5
        for h in row:
            ends = np.flatnonzero(h == EOS)
            assert len(ends) <= 1
            assert not len(ends) or not h[ends[0] + 1 :].any()


def test_a_row_does_not_depend_on_the_others():
    model = TableModel.random(37, rows=6, length=7, v=5, eos=0.5)
    together = search(model, 3, 0.6, 7)
    for row in range(6):
        alone = search(TableModel(model.table[row : row + 1]), 3, 0.6, 7)
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-6)


def test_stops_when_nothing_alive_can_win():
    """Two beams of one row: both best hypotheses end at the second token, so six more steps would change nothing."""
    table = np.full((1, 8, 4, 4, 4), -30.0)
    table[:, 0, ..., 2], table[:, 0, ..., 3] = 0.0, -0.1
    table[:, 1, ..., EOS] = 0.0
    table[:, 2:, ..., 2] = 0.0
    model, calls = TableModel(table), []

    def step(tokens, state):
        jax.debug.callback(lambda length: calls.append(int(length[0])), state["length"])
        return model.step(tokens, state)

    run = functools.partial(beam_search, step=step, reorder=take_rows, beams=2, max_length=8, eos_ids=(EOS,))
    found = jax.jit(functools.partial(run, alpha=0.0))(model.first_logits, model.state(2))
    jax.effects_barrier()
    assert calls == [0]
    np.testing.assert_array_equal(found.tokens[0], [padded([2, EOS], 8), padded([3, EOS], 8)])


def test_a_long_hypothesis_may_still_win_under_a_penalty():
    """What α promises to a living hypothesis is reckoned at the greatest length: the search must not stop before."""
    table = np.full((1, 8, 4, 4, 4), -30.0)
    table[:, 0, ..., EOS], table[:, 0, ..., 2] = 0.0, -0.5  # to end at once is likelier …
    table[:, 1:7, ..., 2] = 0.0
    table[:, 7, ..., EOS] = 0.0  # … but a long text is likely too
    model = TableModel(table)
    assert np.asarray(search(model, 1, 0.0, 8).tokens)[0, 0].tolist() == padded([EOS], 8)
    assert np.asarray(search(model, 1, 3.0, 8).tokens)[0, 0].tolist() == [2] * 7 + [EOS]


def test_the_penalty_is_wus():
    lengths = np.array([1, 2, 7, 20])
    np.testing.assert_allclose(penalty(jnp.asarray(lengths), 0.6, "gnmt"), ((5 + lengths) / 6.0) ** 0.6, rtol=1e-6)
    assert float(penalty(1, 0.6, "gnmt")) == 1.0
    np.testing.assert_allclose(penalty(jnp.asarray(lengths), 0.0, "gnmt"), 1.0)


@pytest.mark.parametrize("beams", [3, 4, 9])
def test_more_beams_than_hypotheses(beams):
    """A vocabulary of two: at each length one hypothesis goes on and one ends, four in all at length 3."""
    model = TableModel.random(41, rows=2, length=3, v=2)
    found = search(model, beams, 0.0, 3)
    for row in range(2):
        every = sorted(((model.log_probability(row, h), h) for h in model.hypotheses(3)), reverse=True)[:beams]
        np.testing.assert_allclose(np.asarray(found.scores)[row, : len(every)], [s for s, _ in every], rtol=1e-5)
        np.testing.assert_array_equal(np.asarray(found.tokens)[row, : len(every)], [padded(h, 3) for _, h in every])
        assert (np.asarray(found.scores)[row, len(every) :] < -1e8).all()
