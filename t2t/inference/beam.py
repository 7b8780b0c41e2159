"""Beam search. A pure loop over a function from tokens to logits.

A hypothesis that ends is scored by its log-probability over a power of its length, the end of sequence counted: either
((5 + length) / 6)^α (Wu et al. 2016, equation 14; T5) or length^α (transformers). Of the best candidates of a step, so
many that enough of them go on, only as many as there are beams may end; at the greatest length all of these do.

`early_stopping` says when a row stops, as in transformers: "never" before no living hypothesis can beat the worst of
the ended ones any more; False when none would at its present length; True as soon as there are enough ended ones.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp

from t2t.inference.processors import Process, among, unchanged

NEVER = -1e9  # the score of a hypothesis that there is not


@flax.struct.dataclass
class Beams:
    """The best hypotheses, best first.

    Attributes:
      tokens: int32 [b beams n], 0 after the end of sequence.
      scores: float32 [b beams], log-probability over the length penalty; below −5e8 where there is no such hypothesis.
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
    ended_scores: jax.Array  # [b k], best first
    goes_on: jax.Array  # bool [b]
    state: Any


def penalty(length: jax.Array | int, alpha: float, form: Literal["gnmt", "power"]) -> jax.Array:
    """((5 + length) / 6)^α, or length^α."""
    length = jnp.asarray(length, jnp.float32)
    return jnp.power((5.0 + length) / 6.0 if form == "gnmt" else length, alpha)


def beam_search(
    first_logits: jax.Array,
    state: Any,
    step: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    reorder: Callable[[Any, jax.Array], Any],
    *,
    beams: int,
    alpha: float,
    max_length: int,
    eos_ids: Sequence[int],
    form: Literal["gnmt", "power"] = "gnmt",
    early_stopping: bool | Literal["never"] = "never",
    process: Process = unchanged,
) -> Beams:
    """Searches for the best hypotheses of every row.

    Args:
      first_logits: [b v], of the first token.
      state: of b·beams rows, each row's beams together; goes through `step` and `reorder`.
      step: tokens [b·beams], state → logits [b·beams v], state.
      reorder: (state, row indices [b·beams]) → the state with those rows.
      process: changes log-probabilities [b·beams v], which then are none.
    """
    b, v = first_logits.shape
    k, n = beams, max_length
    candidates = min(max(2, 1 + len(eos_ids)) * k, k * v)  # so many end at most that k are left to live

    def extend(loop: _Loop, logits: jax.Array) -> tuple[_Loop, jax.Array, jax.Array]:
        """One more token for every living hypothesis; also the rows they came from and their tokens."""
        logp = process(jax.nn.log_softmax(logits, axis=-1), loop.alive.reshape(b * k, n), loop.i).reshape(b, k, v)
        best, index = jax.lax.top_k((loop.alive_logp[:, :, None] + logp).reshape(b, k * v), candidates)
        beam, token = index // v, (index % v).astype(jnp.int32)
        sequences = jnp.take_along_axis(loop.alive, beam[:, :, None], axis=1)
        sequences = jax.lax.dynamic_update_slice(sequences, token[:, :, None], (0, 0, loop.i))
        i = loop.i + 1
        ends = among(token, eos_ids) | (i == n)
        alive_logp, kept = jax.lax.top_k(jnp.where(ends, NEVER, best), k)
        may_end = ends & (jnp.arange(candidates) < k) & loop.goes_on[:, None] & (best > NEVER / 2)
        scores = jnp.concatenate([loop.ended_scores, jnp.where(may_end, best / penalty(i, alpha, form), NEVER)], axis=1)
        ended_scores, chosen = jax.lax.top_k(scores, k)
        new = loop.replace(
            i=i,
            alive=jnp.take_along_axis(sequences, kept[:, :, None], axis=1),
            alive_logp=alive_logp,
            ended=jnp.take_along_axis(jnp.concatenate([loop.ended, sequences], 1), chosen[:, :, None], axis=1),
            ended_scores=ended_scores,
            goes_on=loop.goes_on & hopeful(i, alive_logp[:, 0], ended_scores[:, -1]),
        )
        rows = (jnp.arange(b)[:, None] * k + jnp.take_along_axis(beam, kept, axis=1)).reshape(-1)
        return new, rows, jnp.take_along_axis(token, kept, axis=1).reshape(-1)

    def hopeful(i: jax.Array, alive: jax.Array, worst: jax.Array) -> jax.Array:
        """Whether the best living hypotheses [b] are waited for, with the worst of the ended ones [b]."""
        enough = (worst > NEVER / 2) & (early_stopping is True)
        # A log-probability only falls: with α > 0 its best score would be at the greatest length.
        length = n if early_stopping == "never" and alpha > 0 else i
        return ~enough & (alive / penalty(length, alpha, form) > worst)

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
        goes_on=jnp.ones((b,), bool),
        state=None,
    )
    loop, _, tokens = extend(start, jnp.repeat(first_logits, k, axis=0))
    loop, _ = jax.lax.while_loop(
        lambda carry: (carry[0].i < n) & jnp.any(carry[0].goes_on), body, (loop.replace(state=state), tokens)
    )
    return Beams(tokens=loop.ended, scores=loop.ended_scores)
