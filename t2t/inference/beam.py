"""Beam search with T5's length penalty. A pure loop over a function from tokens to logits.

A hypothesis that ends is scored by its log-probability over ((5 + length) / 6)^α, its end of sequence counted (Wu et
al. 2016, equation 14). Of the 2k best candidates of a step only the k best may end. The search stops when no
living hypothesis can beat the worst of the ended ones any more; those that live at the greatest length compete as they
are. With α = 0 this is the canonical search of other libraries (`length_penalty=0`, `early_stopping="never"`).
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

NEVER = -1e9  # the score of a hypothesis that there is not


@flax.struct.dataclass
class Beams:
    """The best hypotheses, best first.

    Attributes:
      tokens: int32 [b beams n], 0 after the end of sequence.
      scores: float32 [b beams], log-probability over the length penalty.
    """

    tokens: jax.Array
    scores: jax.Array


@flax.struct.dataclass
class _Loop:
    """The state of the search: `k` living hypotheses and `k` ended ones for each row."""

    i: jax.Array  # how many tokens the living ones have
    alive: jax.Array  # int32 [b k n]
    alive_logp: jax.Array  # [b k]
    ended: jax.Array  # int32 [b k n]
    ended_scores: jax.Array  # [b k]
    state: Any


def penalty(length: jax.Array | int, alpha: float) -> jax.Array:
    """((5 + length) / 6)^α."""
    return jnp.power((5.0 + jnp.asarray(length, jnp.float32)) / 6.0, alpha)


def beam_search(
    first_logits: jax.Array,
    state: Any,
    step: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    reorder: Callable[[Any, jax.Array], Any],
    *,
    beams: int,
    alpha: float,
    max_length: int,
    eos_id: int,
) -> Beams:
    """Searches for the best hypotheses of every row.

    Args:
      first_logits: [b v], of the first token.
      state: of b·beams rows, each row's beams together; goes through `step` and `reorder`.
      step: tokens [b·beams], state → logits [b·beams v], state.
      reorder: (state, row indices [b·beams]) → the state with those rows.
    """
    b, v = first_logits.shape
    k, n = beams, max_length

    def extend(loop: _Loop, logits: jax.Array) -> tuple[_Loop, jax.Array, jax.Array]:
        """One more token for every living hypothesis; also the rows they came from and their tokens."""
        logp = loop.alive_logp[:, :, None] + jax.nn.log_softmax(logits.reshape(b, k, v), axis=-1)
        best, index = jax.lax.top_k(logp.reshape(b, k * v), min(2 * k, k * v))
        beam, token = index // v, (index % v).astype(jnp.int32)
        sequences = jnp.take_along_axis(loop.alive, beam[:, :, None], axis=1)
        sequences = jax.lax.dynamic_update_slice(sequences, token[:, :, None], (0, 0, loop.i))
        ends = token == eos_id
        # Of 2k candidates at most k end, one for each hypothesis, so k are left to live. Only the k best may end.
        alive_logp, kept = jax.lax.top_k(jnp.where(ends, NEVER, best), k)
        alive = jnp.take_along_axis(sequences, kept[:, :, None], axis=1)
        scores = jnp.where(
            ends & (best > NEVER / 2) & (jnp.arange(best.shape[1]) < k), best / penalty(loop.i + 1, alpha), NEVER
        )
        ended, ended_scores = _best(
            jnp.concatenate([loop.ended, sequences], 1), jnp.concatenate([loop.ended_scores, scores], 1), k
        )
        new = loop.replace(i=loop.i + 1, alive=alive, alive_logp=alive_logp, ended=ended, ended_scores=ended_scores)
        rows = (jnp.arange(b)[:, None] * k + jnp.take_along_axis(beam, kept, axis=1)).reshape(-1)
        return new, rows, jnp.take_along_axis(token, kept, axis=1).reshape(-1)

    def goes_on(carry) -> jax.Array:
        loop, _ = carry
        # A log-probability only falls, so its best score is at the greatest length (α ≥ 0).
        hope = loop.alive_logp[:, 0] / penalty(n, alpha)
        return (loop.i < n) & jnp.any(hope > loop.ended_scores[:, -1])

    def body(carry):
        loop, tokens = carry
        logits, state = step(tokens, loop.state)
        loop, rows, tokens = extend(loop, logits)
        return loop.replace(state=reorder(state, rows)), tokens

    # At first there is one hypothesis, the empty one.
    start = _Loop(
        i=jnp.zeros((), jnp.int32),
        alive=jnp.zeros((b, k, n), jnp.int32),
        alive_logp=jnp.full((b, k), NEVER).at[:, 0].set(0.0),
        ended=jnp.zeros((b, k, n), jnp.int32),
        ended_scores=jnp.full((b, k), NEVER),
        state=None,
    )
    loop, _, tokens = extend(start, jnp.repeat(first_logits, k, axis=0))
    loop, _ = jax.lax.while_loop(goes_on, body, (loop.replace(state=state), tokens))
    living = jnp.where((loop.i >= n) & (loop.alive_logp > NEVER / 2), loop.alive_logp / penalty(n, alpha), NEVER)
    tokens, scores = _best(
        jnp.concatenate([loop.ended, loop.alive], 1), jnp.concatenate([loop.ended_scores, living], 1), k
    )
    return Beams(tokens=tokens, scores=scores)


def _best(sequences: jax.Array, scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k sequences [b m n] with the highest scores [b m]."""
    scores, index = jax.lax.top_k(scores, k)
    return jnp.take_along_axis(sequences, index[:, :, None], axis=1), scores
