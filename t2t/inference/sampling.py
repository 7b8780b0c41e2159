"""One token after another: greedy, or drawn at random. A pure loop over a function from tokens to logits."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from t2t.inference.processors import Process, among, unchanged

Step = Callable[[jax.Array, Any], tuple[jax.Array, Any]]  # tokens [b], state → logits [b v], state


@flax.struct.dataclass
class Sampled:
    """What was generated.

    Attributes:
      tokens: int32 [b n], 0 after the end of sequence.
      scores: float32 [b], the log-probability of the tokens under the model (not under top-k, top-p, temperature or a
        processor).
    """

    tokens: jax.Array
    scores: jax.Array


def choose_greedily(logits: jax.Array, step: jax.Array) -> jax.Array:
    """The likeliest token of each row: logits [b v] → int32 [b]."""
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def sampler(keys: jax.Array, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0):
    """A chooser that draws at random.

    Args:
      keys: one key for each row, so that a row's text does not depend on what else is in its batch.
      temperature, top_k, top_p: see `DecodeConfig`; top-p looks at what top-k leaves (Holtzman et al. 2020).
    """

    def choose(logits: jax.Array, step: jax.Array) -> jax.Array:
        kept = restrict(logits / temperature, top_k, top_p)
        draw = jax.vmap(lambda key, row: jax.random.categorical(jax.random.fold_in(key, step), row))
        return draw(keys, kept).astype(jnp.int32)

    return choose


def restrict(logits: jax.Array, top_k: int, top_p: float) -> jax.Array:
    """Logits [b v] with −∞ for the tokens that top-k and top-p leave out. The likeliest one always stays."""
    if 0 < top_k < logits.shape[-1]:
        logits = jnp.where(logits < jax.lax.top_k(logits, top_k)[0][:, -1:], -jnp.inf, logits)
    if top_p < 1.0:
        ordered = jnp.sort(logits, axis=-1, descending=True)
        probabilities = jax.nn.softmax(ordered, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities  # the mass of the likelier tokens
        least = jnp.min(jnp.where(before < top_p, ordered, jnp.inf), axis=-1, keepdims=True)
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return logits


def generate(
    first_logits: jax.Array,
    state: Any,
    step: Step,
    choose: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    max_length: int,
    eos_ids: Sequence[int],
    process: Process = unchanged,
) -> Sampled:
    """Generates until all rows have ended, or `max_length` tokens.

    Args:
      first_logits: [b v], of the first token to generate.
      state: goes through `step`; a cache.
      step: the token just chosen → logits of the next.
      choose: (logits [b v], how many tokens there are already) → tokens [b].
      process: changes the logits that `choose` is given.
    """
    b = first_logits.shape[0]

    def add(carry, logits):
        i, tokens, scores, ended = carry
        token = jnp.where(ended, 0, choose(process(logits, tokens, i), i))
        chosen = jnp.take_along_axis(logits, token[:, None], axis=-1)[:, 0] - jax.nn.logsumexp(logits, axis=-1)
        scores = scores + jnp.where(ended, 0.0, chosen)
        tokens = jax.lax.dynamic_update_slice(tokens, token[:, None], (0, i))
        return (i + 1, tokens, scores, ended | among(token, eos_ids)), token

    def body(loop):
        carry, token, state = loop
        logits, state = step(token, state)
        return (*add(carry, logits), state)

    def goes_on(loop):
        (i, _, _, ended), _, _ = loop
        return (i < max_length) & ~jnp.all(ended)

    empty = (
        jnp.zeros((), jnp.int32),
        jnp.zeros((b, max_length), jnp.int32),
        jnp.zeros((b,), jnp.float32),
        jnp.zeros((b,), bool),
    )
    carry, token = add(empty, first_logits)
    (_, tokens, scores, _), _, _ = jax.lax.while_loop(goes_on, body, (carry, token, state))
    return Sampled(tokens=tokens, scores=scores)
