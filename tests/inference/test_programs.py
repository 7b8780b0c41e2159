"""The compiled programs: what is cached equals what is not, and a row does not depend on padding or on its batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoding_toys import EOS, MODELS, batch_for, prompts, take_rows, tiny

from t2t.inference import DecodeConfig
from t2t.inference.beam import beam_search
from t2t.inference.programs import decode_batch, score_batch
from t2t.inference.sampling import choose_greedily, generate, sampler
from t2t.models import cast_matrices

LENGTH = 7
METHODS = {
    "greedy": DecodeConfig(method="greedy", max_length=LENGTH),
    "sample": DecodeConfig(method="sample", max_length=LENGTH, temperature=1.3, top_k=8, top_p=0.95, seed=5),
    "beam": DecodeConfig(method="beam", max_length=LENGTH, beams=3),
}

CASES = [(name, method) for name in ("t5", "gpt", "prefix") for method in METHODS]
CASES += [(name, "beam") for name in ("t5_v1_1_scanned", "transformer", "gpt_scanned")]


def run(model, params, batch, decode, row_ids=None, eos_id=EOS):
    rows = len(next(iter(batch.values())))
    ids = np.arange(rows, dtype=np.int32) if row_ids is None else np.asarray(row_ids, np.int32)
    return jax.tree.map(np.asarray, decode_batch(params, batch, ids, model=model, decode=decode, eos_id=eos_id))


def uncached(model, params, rows, decode, prefix: bool):
    """The same loops over a state that holds all tokens so far, which the whole model reads again at every step."""
    config, b = model.config, len(rows)
    decoder_only = config.architecture == "decoder"
    heads = [[0, *r] if decoder_only else [0] for r in rows]
    width = max(map(len, heads)) + decode.max_length
    tokens = np.zeros((b, width), np.int32)
    for i, head in enumerate(heads):
        tokens[i, : len(head)] = head
    state = {
        "tokens": jnp.asarray(tokens),
        "last": jnp.asarray([len(h) - 1 for h in heads]),
        "prefix": jnp.asarray([len(h) for h in heads]),
    }
    if not decoder_only:
        state |= {k: jnp.asarray(v) for k, v in batch_for("t5", rows, max(map(len, rows))).items()}

    def logits_of(state):
        at = jnp.arange(width)[None]
        batch = {
            "decoder_inputs": state["tokens"],
            "decoder_segments": (at <= state["last"][:, None]).astype(jnp.int32),
        }
        if prefix:
            batch["decoder_prefix"] = (at < state["prefix"][:, None]).astype(jnp.int32)
        batch |= {k: v for k, v in state.items() if k.startswith("encoder")}
        logits = model.apply({"params": params}, batch)
        return jnp.take_along_axis(logits, state["last"][:, None, None], axis=1)[:, 0]

    def step(chosen, state):
        last = state["last"] + 1
        state = {**state, "last": last, "tokens": state["tokens"].at[jnp.arange(len(last)), last].set(chosen)}
        return logits_of(state), state

    def loop(state):
        first = logits_of(state)
        if decode.method == "beam":
            repeated = jax.tree.map(lambda x: jnp.repeat(x, decode.beams, axis=0), state)
            found = beam_search(
                first,
                repeated,
                step,
                take_rows,
                beams=decode.beams,
                alpha=decode.length_penalty,
                max_length=decode.max_length,
                eos_ids=(EOS,),
            )
            return found.tokens, found.scores
        choose = choose_greedily
        if decode.method == "sample":
            keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(decode.seed)))(jnp.arange(b))
            choose = sampler(keys, temperature=decode.temperature, top_k=decode.top_k, top_p=decode.top_p)
        found = generate(first, state, step, choose, max_length=decode.max_length, eos_ids=(EOS,))
        return found.tokens[:, None], found.scores[:, None]

    return jax.tree.map(np.asarray, jax.jit(loop)(state))


@pytest.mark.parametrize(("name", "method"), CASES)
def test_cached_equals_uncached(name, method):
    _, model, params = tiny(name, seed=3)
    rows = prompts(1, (3, 6, 1, 5))
    tokens, scores = run(model, params, batch_for(name, rows, 8), METHODS[method])
    expected, expected_scores = uncached(model, params, rows, METHODS[method], prefix=name == "prefix")
    np.testing.assert_allclose(scores, expected_scores, atol=2e-4)
    np.testing.assert_array_equal(tokens, expected)
    assert len({tuple(t) for t in tokens[:, 0]}) > 1  # the rows do say different things


@pytest.mark.parametrize(
    ("name", "method"),
    [("t5", "sample"), ("t5", "beam"), ("transformer", "greedy"), ("gpt", "sample"), ("prefix", "beam")],
)
def test_padding_and_the_rest_of_the_batch_do_not_matter(name, method):
    _, model, params = tiny(name, seed=4)
    rows = prompts(2, (4, 2, 6, 3))
    tokens, scores = run(model, params, batch_for(name, rows, 8), METHODS[method], row_ids=[10, 11, 12, 13])
    order = [2, 0]
    others, other_scores = run(
        model, params, batch_for(name, [rows[i] for i in order], 15), METHODS[method], row_ids=[10 + i for i in order]
    )
    np.testing.assert_array_equal(others, tokens[order])
    np.testing.assert_allclose(other_scores, scores[order], atol=1e-4)


def test_the_same_prompt_in_two_rows_is_drawn_twice():
    _, model, params = tiny("t5")
    batch = batch_for("t5", prompts(3, (4,)) * 16, 4)
    tokens, _ = run(model, params, batch, METHODS["sample"])
    assert len({tuple(t) for t in tokens[:, 0]}) > 8
    alike, _ = run(model, params, batch, METHODS["sample"], row_ids=[7] * 16)
    assert len({tuple(t) for t in alike[:, 0]}) == 1


@pytest.mark.parametrize("name", ["t5", "gpt"])
def test_beam_of_one_is_greedy(name):
    _, model, params = tiny(name, seed=6)
    batch = batch_for(name, prompts(4, (3, 5, 2, 4)), 8)
    greedy, greedy_scores = run(model, params, batch, METHODS["greedy"])
    one, scores = run(model, params, batch, DecodeConfig(method="beam", beams=1, length_penalty=0.0, max_length=LENGTH))
    # One beam goes on where its rank is the second: where greedy ends, it may find something better, never worse.
    same = (one == greedy).all(axis=(1, 2))
    np.testing.assert_allclose(scores[same], greedy_scores[same], atol=1e-4)
    assert (scores >= greedy_scores - 1e-4).all()
    assert same.any()


def test_a_row_without_inputs_is_still_a_row():
    _, model, params = tiny("t5", seed=2)
    empty, (row,) = np.zeros(0, np.int32), prompts(5, (3,))
    tokens, scores = run(model, params, batch_for("t5", [empty, row, empty, row], 8), METHODS["greedy"])
    assert np.isfinite(scores).all()
    others, _ = run(model, params, batch_for("t5", [row] * 4, 8), METHODS["greedy"])
    np.testing.assert_array_equal(tokens[[1, 3]], others[[1, 3]])


def test_scanned_and_unrolled_say_the_same():
    from t2t.layers import to_scanned

    _, model, params = tiny("t5", seed=8)
    _, scanned, _ = tiny("t5", stacking="scanned")
    batch = batch_for("t5", prompts(6, (4, 3, 5, 2)), 8)
    one, other = run(model, params, batch, METHODS["beam"]), run(scanned, to_scanned(params), batch, METHODS["beam"])
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_allclose(one[1], other[1], atol=1e-4)


def teacher_forced(rows, answers, decoder_only: bool) -> dict[str, np.ndarray]:
    """The batch that scores `answers`, from the converters of training."""
    from t2t.data.converters import DecoderConverter, EncoderDecoderConverter

    examples = [[{"inputs": r, "targets": a}] for r, a in zip(rows, answers)]
    if decoder_only:
        return DecoderConverter(inputs_length=12, targets_length=12, prefix_attention=False)(examples, (24,))
    return EncoderDecoderConverter(inputs_length=12, targets_length=12)(examples, (12, 12))


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("t5", "float32", 1e-4),
        ("transformer", "float32", 1e-4),
        ("gpt", "float32", 1e-4),
        ("t5_v1_1_scanned", "float32", 1e-4),
        ("gpt", "bfloat16", 0.15),
    ],
)
def test_what_is_generated_scores_what_it_was_said_to(name, dtype, tolerance):
    """Scores of decoding are its answers' teacher-forced log-likelihoods, and greedy ones are the likeliest tokens."""
    _, model, params = tiny(name, seed=9, dtype=dtype)
    rows = prompts(7, (3, 6, 4, 5))
    for method in ("greedy", "beam"):
        decode = METHODS[method]
        tokens, scores = run(model, params, batch_for(name, rows, 8), decode)
        for beam in range(tokens.shape[1]):
            answers = [t[: np.flatnonzero(t == EOS)[0] + 1] if EOS in t else t for t in tokens[:, beam]]
            batch = teacher_forced(rows, answers, "architecture" in MODELS[name])
            logp, likeliest = jax.tree.map(np.asarray, score_batch(params, batch, model=model))
            penalty = [((5 + len(a)) / 6) ** 0.6 if method == "beam" else 1.0 for a in answers]
            np.testing.assert_allclose(logp.sum(axis=1) / penalty, scores[:, beam], atol=tolerance)
            assert not logp[batch["loss_weights"] == 0].any()
            if method == "greedy" and dtype == "float32":
                np.testing.assert_array_equal(likeliest, batch["loss_weights"] > 0)


def test_scores_are_log_softmax_of_the_logits():
    _, model, params = tiny("t5")
    rows, answers = prompts(8, (5, 2)), prompts(9, (4, 6))
    batch = teacher_forced(rows, answers, decoder_only=False)
    logits = np.asarray(model.apply({"params": params}, batch), np.float64)
    logp = np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    found, likeliest = score_batch(params, batch, model=model)
    for r, answer in enumerate(answers):
        np.testing.assert_allclose(found[r, : len(answer)], logp[r, np.arange(len(answer)), answer], rtol=1e-4)
        np.testing.assert_array_equal(likeliest[r, : len(answer)], logits[r].argmax(-1)[: len(answer)] == answer)
        assert not np.asarray(found[r, len(answer) :]).any()
        assert not np.asarray(likeliest[r, len(answer) :]).any()


def test_in_bfloat16_casting_beforehand_changes_nothing():
    _, model, params = tiny("t5", dtype="bfloat16", seed=1)
    batch = batch_for("t5", prompts(10, (4, 6, 2)), 8)
    tokens, scores = run(model, params, batch, METHODS["greedy"])
    again, same = run(model, cast_matrices(params, jnp.bfloat16), batch, METHODS["greedy"])
    np.testing.assert_array_equal(again, tokens)
    np.testing.assert_array_equal(same, scores)


def test_one_program_for_each_shape():
    _, model, params = tiny("gpt", seed=12)
    before = decode_batch._cache_size()
    for seed in range(3):
        run(model, params, batch_for("gpt", prompts(seed, (3, 5)), 9), DecodeConfig(max_length=5))
    assert decode_batch._cache_size() == before + 1
