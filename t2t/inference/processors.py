"""What changes the scores of the next token before one is chosen, in the order of transformers' generate().

Pure functions of fixed sizes. Scores are float32 [r v]: logits, or in a beam search their log-softmax, which is not
normalised again. Tokens are int [r n], those of a prompt in front of what is generated.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from t2t.inference.config import DecodeConfig

Process = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # scores, generated [r n], how many are → scores


def penalise_repetition(scores: jax.Array, tokens: jax.Array, counted: jax.Array, penalty: float) -> jax.Array:
    """Divides positive scores of tokens that are `counted`, bool [r n], by a penalty and multiplies negative ones by it
    (Keskar et al. 2019, section 4.1)."""
    seen = _marked(tokens, counted, scores.shape[-1])
    return jnp.where(seen, jnp.where(scores < 0, scores * penalty, scores / penalty), scores)


def ban_repeated_ngrams(scores: jax.Array, tokens: jax.Array, length: jax.Array, size: int) -> jax.Array:
    """−∞ for tokens that would end an n-gram of `size` which the first `length` tokens hold already (Paulus et al.
    2018, section 2.5)."""
    windows = tokens.shape[1] - size + 1
    if windows < 1:
        return scores
    last = jax.lax.dynamic_slice_in_dim(tokens, length - (size - 1), size - 1, axis=1)
    same = jnp.broadcast_to(jnp.arange(windows) + size <= length, (len(tokens), windows))
    for i in range(size - 1):
        same &= tokens[:, i : i + windows] == last[:, i : i + 1]
    return jnp.where(_marked(tokens[:, size - 1 :], same, scores.shape[-1]), -jnp.inf, scores)


def force(scores: jax.Array, ids: Sequence[int], now: jax.Array) -> jax.Array:
    """0 for the given tokens and −∞ for all others, where `now` says so."""
    return jnp.where(now, jnp.where(among(np.arange(scores.shape[-1]), ids), 0.0, -jnp.inf), scores)


def processor(decode: DecodeConfig, eos_ids: Sequence[int], prompt: jax.Array, real: jax.Array) -> Process:
    """All that a `DecodeConfig` asks for.

    Args:
      prompt: int [b p], what the decoder began with; each row stands for r / b successive ones.
      real: bool [b p], which of these tokens are no padding. Repetition penalties leave padding out; n-grams do not.
    """
    size, penalty, shortest = decode.no_repeat_ngram_size, decode.repetition_penalty, decode.min_new_tokens
    bos_id, eos_id = decode.forced_bos_id, decode.forced_eos_id

    def process(scores: jax.Array, generated: jax.Array, step: jax.Array) -> jax.Array:
        past, known = (jnp.repeat(x, len(scores) // len(prompt), axis=0) for x in (prompt, real))
        tokens = jnp.concatenate([past, generated], axis=1)
        if penalty != 1.0:
            made = jnp.broadcast_to(jnp.arange(generated.shape[1]) < step, generated.shape)
            scores = penalise_repetition(scores, tokens, jnp.concatenate([known, made], axis=1), penalty)
        if size:
            scores = ban_repeated_ngrams(scores, tokens, prompt.shape[1] + step, size)
        if decode.banned_ids:
            scores = jnp.where(among(np.arange(scores.shape[-1]), decode.banned_ids), -jnp.inf, scores)
        if shortest:
            ends = among(np.arange(scores.shape[-1]), eos_ids)
            scores = jnp.where(ends & (step < shortest), -jnp.inf, scores)
        if bos_id is not None:
            scores = force(scores, [bos_id], step == 0)
        if eos_id is not None:
            scores = force(scores, [eos_id], step == decode.max_length - 1)
        return scores

    return process


def unchanged(scores: jax.Array, generated: jax.Array, step: jax.Array) -> jax.Array:
    """The processor that leaves scores as they are."""
    return scores


def among(tokens: jax.Array, ids: Sequence[int]) -> jax.Array:
    """Which tokens […] are among some ids, bool […]."""
    return (tokens[..., None] == np.asarray(ids, np.int32)).any(axis=-1)


def _marked(tokens: jax.Array, counted: jax.Array, v: int) -> jax.Array:
    """Which of v ids stand in each row of tokens [r n] where `counted`, bool [r v]."""
    rows = jnp.arange(len(tokens))[:, None]
    return jnp.zeros((len(tokens), v), bool).at[rows, jnp.where(counted, tokens, v)].set(True, mode="drop")
