"""What changes scores, against plain loops over lists; and in both decoding loops, cached."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoding_toys import EOS, batch_for, prompts, tiny

from t2t.inference import DecodeConfig
from t2t.inference.processors import ban_repeated_ngrams, force, penalise_repetition, processor
from t2t.inference.programs import decode_batch

V, N = 7, 10


def texts(seed=0, rows=40):
    generator = np.random.default_rng(seed)
    return generator.integers(0, V, (rows, N)).astype(np.int32), generator.normal(size=(rows, V)).astype(np.float32)


def repeated(text, size):
    """The tokens that would end an n-gram which a text holds already."""
    ngrams = {tuple(text[i : i + size]) for i in range(len(text) - size + 1)}
    return {t for t in range(V) if size <= len(text) and (*text[len(text) - size + 1 :], t) in ngrams}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 11, 12])
@pytest.mark.parametrize("length", [0, 1, 2, 5, 9, 10])
def test_no_ngram_comes_twice(size, length):
    tokens, scores = texts()
    found = np.asarray(jax.jit(ban_repeated_ngrams, static_argnames="size")(scores, tokens, length, size=size))
    for row, text in enumerate(tokens[:, :length].tolist()):
        banned = sorted(repeated(text, size))
        assert np.flatnonzero(np.isneginf(found[row])).tolist() == banned
        kept = np.setdiff1d(np.arange(V), banned)
        np.testing.assert_array_equal(found[row, kept], scores[row, kept])


@pytest.mark.parametrize("penalty", [0.5, 1.8])
def test_repeated_tokens_are_less_likely(penalty):
    tokens, scores = texts(1)
    counted = np.random.default_rng(2).random(tokens.shape) < 0.4
    found = np.asarray(penalise_repetition(scores, tokens, counted, penalty))
    for row in range(len(tokens)):
        seen = set(tokens[row][counted[row]].tolist())
        for token in range(V):
            score = scores[row, token]
            expected = (score * penalty if score < 0 else score / penalty) if token in seen else score
            np.testing.assert_allclose(found[row, token], expected, rtol=1e-6)


def test_what_is_forced_has_no_alternative():
    _, scores = texts()
    found = np.asarray(force(scores, [3], jnp.asarray(True)))
    assert (found[:, 3] == 0).all()
    assert np.isneginf(np.delete(found, 3, axis=1)).all()
    np.testing.assert_array_equal(force(scores, [3], jnp.asarray(False)), scores)


def test_all_of_it_in_its_order():
    """What is forced goes before what is banned, and the prompt counts but for its padding."""
    decode = DecodeConfig(
        max_length=4, repetition_penalty=2.0, banned_ids=(2,), min_new_tokens=2, forced_bos_id=2, forced_eos_id=1
    )
    prompt, real = np.array([[0, 5]]), np.array([[False, True]])
    process = processor(decode, (1,), prompt, real)
    scores, made = np.full((2, V), -1.0, np.float32), np.array([[6, 0, 0, 0], [4, 0, 0, 0]], np.int32)
    assert np.flatnonzero(np.isfinite(process(scores, made, 0)[0])).tolist() == [2]
    second = np.asarray(process(scores, made, 1))
    assert second.tolist() == [[-1, -np.inf, -np.inf, -1, -1, -2, -2], [-1, -np.inf, -np.inf, -1, -2, -2, -1]]
    assert np.asarray(process(scores, made, 2))[0].tolist() == [-2, -1, -np.inf, -1, -1, -2, -2]
    assert np.flatnonzero(np.isfinite(process(scores, made, 3)[0])).tolist() == [1]


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
@pytest.mark.parametrize("name", ["t5", "gpt"])
def test_generated_texts_are_as_they_are_asked_for(name, method):
    _, model, params = tiny(name, seed=3)
    rows = prompts(1, (3, 6, 1, 5))
    decode = DecodeConfig(
        method=method, max_length=9, no_repeat_ngram_size=2, min_new_tokens=4, forced_bos_id=7, forced_eos_id=EOS
    )
    tokens, scores = decode_batch(
        params, batch_for(name, rows, 8), np.arange(4), model=model, decode=decode, eos_id=EOS
    )
    assert np.isfinite(scores).all()
    for row, texts_of_row in enumerate(np.asarray(tokens)):
        for text in texts_of_row:
            end = int(np.flatnonzero(text == EOS)[0])  # there always is one
            assert text[0] == 7
            assert end >= 4
            whole = [*(rows[row] if name == "gpt" else [0]), *text[:end]]
            pairs = list(zip(whole, whole[1:]))
            first = len(whole) - end  # pairs of the prompt alone may repeat
            assert all(pair not in pairs[:i] for i, pair in enumerate(pairs) if i + 1 > first), whole


def test_several_ids_end_a_text():
    _, model, params = tiny("gpt", seed=3)
    batch = batch_for("gpt", prompts(1, (3, 6, 1, 5)), 8)
    decode = DecodeConfig(max_length=9)
    tokens, _ = decode_batch(params, batch, np.arange(4), model=model, decode=decode, eos_id=(-1,))
    said = set(np.asarray(tokens)[:, 0, 2].tolist())
    ended, _ = decode_batch(params, batch, np.arange(4), model=model, decode=decode, eos_id=tuple(said))
    for before, after in zip(np.asarray(tokens)[:, 0], np.asarray(ended)[:, 0]):
        end = min(i for i, t in enumerate(before) if t in said)
        np.testing.assert_array_equal(after[: end + 1], before[: end + 1])
        assert end <= 2
        assert not after[end + 1 :].any()


def test_several_samples_of_a_prompt():
    _, model, params = tiny("t5", seed=3)
    batch = batch_for("t5", prompts(1, (3, 6)), 8)
    decode = DecodeConfig(method="sample", max_length=6, num_return_sequences=16)
    tokens, scores = decode_batch(params, batch, np.arange(2), model=model, decode=decode, eos_id=EOS)
    assert tokens.shape == (2, 16, 6)
    assert scores.shape == (2, 16)
    assert len({tuple(t) for t in np.asarray(tokens)[0]}) > 8
    again, _ = decode_batch(
        params, {k: v[1:] for k, v in batch.items()}, np.arange(1, 2), model=model, decode=decode, eos_id=EOS
    )
    np.testing.assert_array_equal(again[0], tokens[1])


@pytest.mark.parametrize("start_id", [0, 4])
def test_an_encoder_decoder_begins_with_its_start_id(start_id):
    _, model, params = tiny("t5", seed=3, start_id=start_id)
    batch = batch_for("t5", prompts(1, (3, 6)), 8)
    decode = DecodeConfig(max_length=6)
    tokens, _ = decode_batch(params, batch, np.arange(2), model=model, decode=decode, eos_id=EOS)
    given = batch | {"decoder_inputs": np.full((2, 1), start_id, np.int32)}
    again, _ = decode_batch(params, given, np.arange(2), model=model, decode=decode, eos_id=EOS)
    np.testing.assert_array_equal(tokens, again)
    forced = batch | {"decoder_inputs": np.concatenate([given["decoder_inputs"], tokens[:, 0, :1]], axis=1)}
    rest, _ = decode_batch(params, forced, np.arange(2), model=model, decode=decode, eos_id=-1)
    np.testing.assert_array_equal(rest[:, 0, 0], tokens[:, 0, 1])
