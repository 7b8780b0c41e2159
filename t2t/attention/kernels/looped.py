"""One tile after another, each against its slices of keys in turn: for CPUs, where a tile's logits stay in the cache,
and for rows of unequal weight, which pay for no more than their own slices. Memory is that of one tile."""

import functools

import jax
import jax.numpy as jnp

from t2t.attention.kernels import groups
from t2t.attention.kernels import tiles as of_tiles
from t2t.attention.kernels.offset_bias import OffsetBias, ShiftBias
from t2t.attention.kernels.tiles import FLOOR, MASKED, Operands, Rule, Tiles, pad
from t2t.attention.tiling import Tiling


def forward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int) -> tuple[jax.Array, jax.Array]:
    """Attention of laid-out arrays: the output [b slots h k] in the dtype of the values, and the log-sum-exp of each
    row, float32 [b slots h]; 0 and MASKED where a row sees nothing.

    Args:
      at_once: how many pairs of logits there are at once, of all rows and heads.
    """
    return groups.forward(lambda some: _forward(some, tiling, rule), operands, tiling, at_once)


def _forward(operands: Operands, tiling: Tiling, rule: Rule) -> tuple[jax.Array, jax.Array]:
    b, slots, h, k = operands.query.shape
    runs, starts = _runs(operands.bias, tiling), jnp.asarray(tiling.starts)
    laid = _lay(operands, tiling)

    def row(tile):
        def slice_of_keys(bias, item, so_far):
            values, totals, maxima = so_far
            more = of_tiles.forward(_take(laid, tiling, tile, starts[item], item), bias, laid.dropout_key, rule)
            highest = jnp.maximum(maxima, more[2])
            old, new = jnp.exp(maxima - highest), jnp.exp(more[2] - highest)
            return values * old[..., None] + more[0] * new[..., None], totals * old + more[1] * new, highest

        lead = (b, h, 1, tiling.query_tile)
        so_far = jnp.zeros((*lead, k), jnp.float32), jnp.zeros(lead, jnp.float32), jnp.full(lead, FLOOR, jnp.float32)
        for bias, begin, end in runs:
            so_far = jax.lax.fori_loop(begin[tile], end[tile], functools.partial(slice_of_keys, bias), so_far)
        values, totals, maxima = so_far
        seen = totals > 0
        divisor = jnp.where(seen, totals, 1.0)
        out = values / divisor[..., None]
        return out[:, :, 0].astype(operands.value.dtype), jnp.where(seen, maxima + jnp.log(divisor), MASKED)[:, :, 0]

    out, total = jax.lax.map(row, jnp.arange(tiling.tiles))
    return _joined(out)[:, :slots], _joined(total)[:, :slots]


def backward(
    operands: Operands,
    tiling: Tiling,
    rule: Rule,
    at_once: int,
    d_bias: object,
    out: jax.Array,
    total: jax.Array,
    delta: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, object]:
    """Gradients of query, key and value, float32 [b slots h k], and that of the bias with theirs added.

    Args:
      d_bias, out [b slots h k], total and delta [b slots h]: what they are says `tiles.backward`.
    """

    def of_some(operands, *given):
        return _backward(operands, tiling, rule, *given)

    return groups.backward(of_some, operands, tiling, at_once, d_bias, out, total, delta)


def _backward(operands: Operands, tiling: Tiling, rule: Rule, d_bias, out, total, delta):
    b, slots, h, k = operands.query.shape
    keys, laid = operands.key.shape[1], _lay(operands, tiling)
    more = tiling.tiles * tiling.query_tile - slots
    # Rows that are not there weigh nothing.
    given = [_heads_first(pad(x, 0, more, fill)) for x, fill in ((out, 0), (total, -MASKED), (delta, 0))]
    runs, starts = _runs(operands.bias, tiling), jnp.asarray(tiling.starts)
    shifts = tuple(isinstance(bias, ShiftBias) for bias, _, _ in runs)
    d_biases = [jax.tree.map(jnp.zeros_like, bias) if shift else d_bias for shift, (bias, _, _) in zip(shifts, runs)]

    def row(gradients, tile):
        mine = tuple(_slice(x, 2, tile * tiling.query_tile, tiling.query_tile)[:, :, None] for x in given)

        def slice_of_keys(bias, item, so_far):
            d_query, d_key, d_value, d_bias = so_far
            start = starts[item]
            tiles = _take(laid, tiling, tile, start, item)
            of_query, of_key, of_value, d_bias = of_tiles.backward(tiles, bias, laid.dropout_key, rule, d_bias, *mine)
            d_key, d_value = _add(d_key, of_key[:, :, 0], start), _add(d_value, of_value[:, :, 0], start)
            return d_query + of_query[:, :, 0], d_key, d_value, d_bias

        d_query = jnp.zeros((b, h, tiling.query_tile, k), jnp.float32)
        d_key, d_value, d_biases = gradients
        d_biases = list(d_biases)
        for i, (bias, begin, end) in enumerate(runs):
            so_far = d_query, d_key, d_value, d_biases[i]
            step = functools.partial(slice_of_keys, bias)
            d_query, d_key, d_value, d_biases[i] = jax.lax.fori_loop(begin[tile], end[tile], step, so_far)
        return (d_key, d_value, d_biases), d_query

    zero = jnp.zeros_like(laid.key, jnp.float32)
    (d_key, d_value, d_biases), d_query = jax.lax.scan(row, (zero, zero, d_biases), jnp.arange(tiling.tiles))
    for shift, more in zip(shifts, d_biases):
        d_bias = d_bias if shift else more
    for shift, more in zip(shifts, d_biases):
        d_bias = d_bias.shifted(more) if shift else d_bias
    return _joined(d_query)[:, :slots], _heads_first(d_key)[:, :keys], _heads_first(d_value)[:, :keys], d_bias


def _runs(bias, tiling: Tiling) -> list[tuple]:
    """Kinds of bias, each with the first item of every tile that has it, and the one behind the last."""
    if isinstance(bias, OffsetBias):
        return [(kind, jnp.asarray(begin), jnp.asarray(end)) for kind, begin, end in bias.runs(tiling)]
    return [(bias, jnp.asarray(tiling.offsets[:-1]), jnp.asarray(tiling.offsets[1:]))]


def _lay(operands: Operands, tiling: Tiling) -> Operands:
    """Room for whole tiles of queries and for the last slice of keys, and heads in front, where a tile of every head is
    a matrix: [b h slots k], keep [b h slots]."""
    queries, keys = operands.query.shape[1], operands.key.shape[1]
    last = int(tiling.starts.max(initial=0)) + tiling.key_tile
    padded = operands.pad(tiling.tiles * tiling.query_tile - queries, 0, max(last - keys, 0))
    return padded.replace(
        query=_heads_first(padded.query),
        key=_heads_first(padded.key),
        value=_heads_first(padded.value),
        keep=None if padded.keep is None else _heads_first(padded.keep),
    )


def _heads_first(x: jax.Array) -> jax.Array:
    """[b slots h …] to [b h slots …], and back."""
    return jnp.swapaxes(x, 1, 2)


def _take(operands: Operands, tiling: Tiling, tile, start, number) -> Tiles:
    """One tile and one of its slices of keys."""
    first = tile * tiling.query_tile

    def queries(x, axis):
        return jnp.expand_dims(_slice(x, axis, first, tiling.query_tile), axis)

    def keys(x, axis):
        return jnp.expand_dims(_slice(x, axis, start, tiling.key_tile), axis)

    return Tiles(
        query=queries(operands.query, 2),
        key=keys(operands.key, 2),
        value=keys(operands.value, 2),
        query_side=jax.tree.map(lambda x: queries(x, 1), operands.query_side),
        key_side=jax.tree.map(lambda x: keys(x, 1), operands.key_side),
        keep=None if operands.keep is None else keys(operands.keep, 2),
        number=number,
        offset=first - start if operands.even else None,
    )


def _slice(x, axis, start, length):
    return jax.lax.dynamic_slice_in_dim(x, start, length, axis)


def _add(x, more, start):
    """x [b h slots k] with `more` added from slot `start` on."""
    return jax.lax.dynamic_update_slice_in_dim(x, _slice(x, 2, start, more.shape[2]) + more, start, 2)


def _joined(x):
    """[tiles b h q …] → [b slots h …]."""
    x = jnp.swapaxes(jnp.moveaxis(x, 0, 1), 2, 3)  # [b tiles q h …]
    return x.reshape(x.shape[0], -1, *x.shape[3:])
