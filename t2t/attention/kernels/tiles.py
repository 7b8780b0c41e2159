"""The arithmetic of some tiles of attention at once, forward and backward, which every portable kernel shares.

Dao et al. 2022, algorithms 1 and 4: a tile's weights are made again in the backward pass from the log-sum-exp of the
*whole* row, which may span several tiles, slices and pieces. c counts the tiles that are computed at once.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.kernels.offset_bias import OffsetBias, ShiftBias
from t2t.attention.once import once
from t2t.attention.pattern import Pattern

MASKED = -1e10  # the logit of a pair that may not meet: finite, so that no row of a softmax is ever 0/0
FLOOR = 0.1 * MASKED  # no row's maximum is taken to be lower, so that weights of rows that see nothing are 0


@flax.struct.dataclass
class Side:
    """What is known of the slots of queries or of keys; arrays [b or 1, slots].

    Attributes:
      index: int32, the place in the row; −1 where a slot is empty.
      positions: int32, as the pattern sees them.
      segments: int32, or None.
      prefix: bool, or None.
    """

    index: jax.Array
    positions: jax.Array
    segments: jax.Array | None = None
    prefix: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which pairs of a tile meet, and what their weights become; static.

    Attributes:
      pattern: of the piece.
      causal: where a prefix lifts causality: the whole pattern with it, to which pairs outside the prefix are held.
      empty: whether some key slots are empty.
      dropout_rate: of the weights.
    """

    pattern: Pattern
    causal: Pattern | None
    empty: bool
    dropout_rate: float

    def allowed(self, query: Side, key: Side) -> jax.Array:
        """Sides of [b|1 c q] and [b|1 c m] → booleans [b|1 c q m]."""

        def pairs(name):
            return getattr(query, name)[..., :, None], getattr(key, name)[..., None, :]

        allowed = self.pattern.allows(*pairs("positions"))
        if self.causal is not None:
            of_query, of_key = pairs("prefix")
            allowed = allowed & (self.causal.allows(*pairs("positions")) | (of_query & of_key))
        if query.segments is not None:
            of_query, of_key = pairs("segments")
            allowed = allowed & (of_query == of_key) & (of_key > 0)
        return allowed & (key.index >= 0)[..., None, :] if self.empty else allowed


@flax.struct.dataclass
class Operands:
    """A piece's arrays as they are laid out.

    Attributes:
      query: [b slots h k], scaled.
      key, value: [b slots h k].
      query_side, key_side: see `Side`.
      bias: a pytree that makes the bias of positions, an `OffsetBias`, or None.
      keep: [b slots h] of keys, factors on the weights of whole keys, or None.
      dropout_key: or None.
      even: whether a slot's number is its position, of queries and keys.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    query_side: Side
    key_side: Side
    bias: Callable[..., jax.Array] | OffsetBias | None
    keep: jax.Array | None
    dropout_key: jax.Array | None
    even: bool = flax.struct.field(pytree_node=False, default=False)

    def pad(self, queries: int, before: int, keys: int) -> "Operands":
        """More empty slots: `queries` behind the queries, `before` ahead of the keys and `keys` behind them."""

        def side(s, ahead, behind):
            filled = {"index": -1, "positions": -1, "segments": 0, "prefix": False}
            return s.replace(**{n: pad(getattr(s, n), ahead, behind, fill) for n, fill in filled.items()})

        return self.replace(
            query=pad(self.query, 0, queries),
            key=pad(self.key, before, keys),
            value=pad(self.value, before, keys),
            query_side=side(self.query_side, 0, queries),
            key_side=side(self.key_side, before, keys),
            keep=pad(self.keep, before, keys),
        )


def pad(x: jax.Array | None, before: int, behind: int, fill: float = 0) -> jax.Array | None:
    """[b slots …] with more slots on both sides."""
    if x is None or not (before or behind):
        return x
    return jnp.pad(x, [(0, 0), (before, behind)] + [(0, 0)] * (x.ndim - 2), constant_values=fill)


@flax.struct.dataclass
class Tiles:
    """Some tiles at once: query [b h c q k], key and value [b h c m k], sides [b|1 c q] and [b|1 c m], keep
    [b h c m], and a number that differs from tile to tile for dropout.

    Attributes:
      offset: int32 [c], or a scalar where it is that of all: how far the first query of a tile stands behind its first
        key, where both stand one after the other and nothing else says where they stand; else None. One tile may be
        several of its tiling, one after the other: then that of each.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    query_side: Side
    key_side: Side
    keep: jax.Array | None
    number: jax.Array
    offset: jax.Array | None = None


def logits_of(tiles: Tiles, bias: Any, rule: Rule) -> tuple[jax.Array, jax.Array]:
    """Logits float32 [b h c q m], MASKED where a pair may not meet, and which may, [b|1 1 c q m]."""
    logits = jnp.einsum("bhcqk,bhcmk->bhcqm", tiles.query, tiles.key, preferred_element_type=jnp.float32)
    if bias is not None:
        logits = logits + bias_of(bias, tiles)
    allowed = rule.allowed(tiles.query_side, tiles.key_side)[:, None]
    return jnp.where(allowed, logits, MASKED), allowed


def bias_of(bias: Callable[..., jax.Array] | OffsetBias | ShiftBias, tiles: Tiles) -> jax.Array:
    """The bias of tiles, [b|1 h c|1 q|1 m|1]. One that is a function of the distance alone says so by `of_distances`,
    int […] → [h …]: then it comes as an `OffsetBias` or a `ShiftBias` wherever tiles have an offset."""
    if isinstance(bias, ShiftBias):
        return bias.array[None, :, None, None, None]
    if isinstance(bias, OffsetBias):
        h, q, m = tiles.query.shape[1], tiles.query.shape[3], tiles.key.shape[3]
        return bias.of_tiles(tiles.offset).reshape(1, h, -1, q, m)
    query, key = (s.index if isinstance(bias, ArrayBias) else s.positions for s in (tiles.query_side, tiles.key_side))
    b = max(query.shape[0], key.shape[0])
    c, q, m = query.shape[1], query.shape[2], key.shape[2]
    query, key = jnp.broadcast_to(query, (b, c, q)), jnp.broadcast_to(key, (b, c, m))
    if isinstance(bias, ArrayBias):
        return bias(query, key)
    made = bias(query.reshape(b * c, q), key.reshape(b * c, m))
    return jnp.moveaxis(made.reshape(b, c, -1, q, m), 2, 1).astype(jnp.float32)


@flax.struct.dataclass
class ArrayBias:
    """A bias that is there as an array [b|1 h|1 n m]."""

    array: jax.Array

    def __call__(self, query: jax.Array, key: jax.Array) -> jax.Array:
        """Indices [b|1 c q] and [b|1 c m] → [b|1 h|1 c q m]."""
        query, key = jnp.maximum(query, 0)[..., :, None], jnp.maximum(key, 0)[..., None, :]
        return self.array[:, :, query[0], key[0]].astype(jnp.float32)


@flax.struct.dataclass
class FunctionBias:
    """A bias that is a plain function of positions, with nothing to learn."""

    function: Callable[..., jax.Array] = flax.struct.field(pytree_node=False)

    def __call__(self, query: jax.Array, key: jax.Array) -> jax.Array:
        return self.function(query, key)


def dropout_factors(tiles: Tiles, key: jax.Array | None, rule: Rule, shape: tuple[int, ...]) -> jax.Array | None:
    """What weights [b h c q m] are multiplied by, or None."""
    factors = None if tiles.keep is None else tiles.keep[..., None, :]
    if key is not None and rule.dropout_rate:
        kept = jax.random.bernoulli(jax.random.fold_in(key, tiles.number), 1.0 - rule.dropout_rate, shape)
        factors = kept / (1.0 - rule.dropout_rate)
    return factors


def forward(tiles: Tiles, bias: Any, dropout_key: jax.Array | None, rule: Rule) -> tuple[jax.Array, ...]:
    """(values [b h c q k], totals [b h c q], maxima [b h c q]): weights relative to each row's maximum, summed; all
    float32."""
    logits = once(logits_of(tiles, bias, rule)[0])
    maxima = jnp.maximum(logits.max(-1), FLOOR)
    weights = jnp.exp(logits - maxima[..., None])
    totals = weights.sum(-1)
    factors = dropout_factors(tiles, dropout_key, rule, weights.shape)
    if factors is not None:
        weights = weights * factors
    values = jnp.einsum(
        "bhcqm,bhcmk->bhcqk", weights.astype(tiles.value.dtype), tiles.value, preferred_element_type=jnp.float32
    )
    return values, totals, maxima


def backward(
    tiles: Tiles,
    bias: Any,
    dropout_key: jax.Array | None,
    rule: Rule,
    d_bias: Any,
    out: jax.Array,
    total: jax.Array,
    delta: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """Gradients of tiles' queries, keys, values (float32, shaped as these), and that of the bias with theirs added.

    Args:
      d_bias: the gradient of the bias so far, a pytree as the bias.
      out: [b h c q k], the gradient of the output.
      total: [b h c q], the log-sum-exp of the whole row.
      delta: [b h c q], the output times its gradient, summed over k (Dao et al. 2022, equation 4).
    """
    # All in transposed form, [b h c m q]: then every product is one of plain rows and columns, twice as fast on a CPU.
    f32, dtype = {"preferred_element_type": jnp.float32}, tiles.query.dtype
    logits = jnp.einsum("bhcmk,bhcqk->bhcmq", tiles.key, tiles.query, **f32)
    made = pull = None
    if bias is not None:
        made, pull = jax.vjp(lambda b: bias_of(b, tiles), bias)
        logits = logits + _flip(made)
    allowed = _flip(rule.allowed(tiles.query_side, tiles.key_side))[:, None]
    weights = once(jnp.where(allowed, jnp.exp(logits - total[..., None, :]), 0.0))
    b, h, c, m, q = weights.shape
    factors = dropout_factors(tiles, dropout_key, rule, (b, h, c, q, m))
    factors = None if factors is None else _flip(factors)
    dropped = weights if factors is None else weights * factors
    d_value = jnp.einsum("bhcmq,bhcqk->bhcmk", dropped.astype(dtype), out, **f32)
    d_weights = jnp.einsum("bhcmk,bhcqk->bhcmq", tiles.value, out, **f32)
    if factors is not None:
        d_weights = d_weights * factors
    d_logits = weights * (d_weights - delta[..., None, :])
    if bias is not None:
        d_made = _flip(d_logits)
        d_made = d_made.sum([axis for axis, length in enumerate(made.shape) if length == 1], keepdims=True)
        if isinstance(bias, OffsetBias):
            d_bias = d_bias.add(tiles.offset, d_made.reshape(h, tiles.offset.size, -1, m))
        else:
            d_bias = jax.tree.map(jnp.add, d_bias, pull(d_made)[0])
    d_logits = d_logits.astype(dtype)
    d_key = jnp.einsum("bhcmq,bhcqk->bhcmk", d_logits, tiles.query, **f32)
    turned = jax.lax.optimization_barrier(_flip(tiles.key))
    d_query = _flip(jnp.einsum("bhckm,bhcmq->bhckq", turned, d_logits, **f32))
    return d_query, d_key, d_value, d_bias


def _flip(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, -1, -2)
