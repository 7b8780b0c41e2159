"""Two streams in one stack (XLNet, Yang et al. 2019, section 2.3): states of tokens, and behind them those of queries.

A query stands at the place of a token, and sees tokens but is not seen: what it says of the token's content comes from
others. All that is done position by position is the same for both, so that they are one array [b n+p d].
"""

import jax
import jax.numpy as jnp


def beside(x: jax.Array | None, targets: jax.Array | None) -> jax.Array | None:
    """What holds for tokens, [b n …], for tokens and queries, [b n+p …].

    Args:
      targets: int [b p], the place of the token where each query stands; −1 for one that stands nowhere.
    """
    if x is None or targets is None:
        return x
    index = jnp.maximum(targets, 0).reshape(*targets.shape, *(1 for _ in x.shape[2:]))
    return jnp.concatenate([x, jnp.take_along_axis(x, index, axis=1)], axis=1)


def masks(mask: jax.Array | None, targets: jax.Array, length: int) -> jax.Array:
    """Who sees whom of the tokens, bool [b n n] (None for all), and the queries as their tokens, [b n+p n]; those that
    stand nowhere see nothing."""
    b, p = targets.shape
    mask = beside(jnp.ones((b, length, length), bool) if mask is None else mask, targets)
    somewhere = jnp.concatenate([jnp.ones((b, length), bool), targets >= 0], axis=1)
    return mask & somewhere[:, :, None]
