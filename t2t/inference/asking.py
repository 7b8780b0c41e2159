"""Generation by an encoder with a memory and a stream of queries (XLNet, Yang et al. 2019): what comes next is asked by
a query that stands after all tokens.

As transformers does it: the memory is of all tokens but the newest, which is read again beside the one after it, for
its state changes when it sees that.
"""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.models import Cache, init_cache, over_batch


@flax.struct.dataclass
class Asked(Cache):
    """What is kept between steps: a memory of all tokens but the newest, and that one.

    Attributes:
      newest: int [b].
    """

    newest: jax.Array | None = None


def begin(
    model: nn.Module, variables: Any, prompt: jax.Array, segments: jax.Array, length: int
) -> tuple[jax.Array, Asked]:
    """Prompts and their segments, 0 on padding on the left, int [b p] → the logits [b v] of the first of `length`
    tokens to generate, and what is kept."""
    empty = init_cache(model.config, len(prompt), prompt.shape[1] + length + 1)
    kept = Asked(**{f.name: getattr(empty, f.name) for f in dataclasses.fields(empty)})
    return _ask(model, variables, prompt, segments, kept)


def step(model: nn.Module, variables: Any, tokens: jax.Array, kept: Asked) -> tuple[jax.Array, Asked]:
    """tokens int [b] that were generated → the logits [b v] of those after them."""
    tokens = jnp.stack([kept.newest, tokens], axis=1)
    return _ask(model, variables, tokens, jnp.ones_like(tokens), kept)


def _ask(
    model: nn.Module, variables: Any, tokens: jax.Array, segments: jax.Array, kept: Asked
) -> tuple[jax.Array, Asked]:
    """Tokens and segments, int [b n], after what is kept → the logits [b v] of the token after them."""
    b, n = tokens.shape
    place = jnp.zeros((b, 1), tokens.dtype)  # where the query stands: no other looks there
    batch = {
        "encoder_inputs": jnp.concatenate([tokens, place], axis=1),
        "encoder_segments": jnp.concatenate([segments, jnp.ones_like(place)], axis=1),
        "encoder_mask": jnp.broadcast_to(jnp.arange(n + 1) < n, (b, n + 1, n + 1)),
        "encoder_targets": jnp.full((b, 1), n, jnp.int32),
    }
    found = model.apply(variables, batch, kept, method="outputs")
    return found["vocabulary"][:, 0], over_batch(_without_newest, found["memory"]).replace(newest=tokens[:, -1])


def _without_newest(x: jax.Array, axis: int) -> jax.Array:
    """A memory [b m …] without its last two, the newest token and the query's place; `axis` is that of the batch."""
    if x.ndim < axis + 2:  # what is one for each row
        return x
    edges = [(2, -2, 0) if i == axis + 1 else (0, 0, 0) for i in range(x.ndim)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), edges)
