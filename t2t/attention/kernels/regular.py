"""Many tiles at once, where tile t needs one slice of keys and the slices begin at regular distances: a local window,
columns, blocks. Slices are reshapes and shifts, so that no device needs a gather."""

import jax
import jax.numpy as jnp

from t2t.attention.kernels import tiles as of_tiles
from t2t.attention.kernels.tiles import MASKED, Operands, Rule, Tiles
from t2t.attention.tiling import Tiling


def forward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int) -> tuple[jax.Array, jax.Array]:
    """Attention of laid-out arrays, `at_once` pairs of logits at once; see `looped.forward`."""
    slots = operands.query.shape[2]
    chunks = _Chunks(operands, tiling, at_once)

    def chunk(number):
        values, totals, maxima = of_tiles.forward(chunks.take(number), operands.bias, operands.dropout_key, rule)
        seen = totals > 0
        divisor = jnp.where(seen, totals, 1.0)
        out = (values / divisor[..., None]).astype(operands.value.dtype)
        return out, jnp.where(seen, maxima + jnp.log(divisor), MASKED)

    out, total = jax.lax.map(chunk, jnp.arange(chunks.count))
    return _joined(out)[:, :, :slots], _joined(total)[:, :, :slots]


def backward(
    operands: Operands,
    tiling: Tiling,
    rule: Rule,
    at_once: int,
    out: jax.Array,
    total: jax.Array,
    delta: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, object]:
    """Gradients; see `looped.backward`."""
    slots, keys = operands.query.shape[2], operands.key.shape[2]
    chunks = _Chunks(operands, tiling, at_once)
    out, delta = chunks.pad_queries(out), chunks.pad_queries(delta)
    total = chunks.pad_queries(total, -MASKED)  # rows that are not there weigh nothing

    def chunk(gradients, number):
        d_key, d_value, d_bias = gradients
        mine = (chunks.queries(x, 2, number) for x in (out, total, delta))
        d_query, of_key, of_value, of_bias = of_tiles.backward(
            chunks.take(number), operands.bias, operands.dropout_key, rule, *mine
        )
        d_key, d_value = chunks.add(d_key, of_key, number), chunks.add(d_value, of_value, number)
        return (d_key, d_value, jax.tree.map(jnp.add, d_bias, of_bias)), d_query

    zero = jnp.zeros_like(chunks.operands.key, jnp.float32)
    d_bias = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), operands.bias)
    (d_key, d_value, d_bias), d_query = jax.lax.scan(chunk, (zero, zero, d_bias), jnp.arange(chunks.count))
    begin = slice(chunks.before, chunks.before + keys)
    return _joined(d_query)[:, :, :slots], d_key[:, :, begin], d_value[:, :, begin], d_bias


class _Chunks:
    """Operands padded so that every chunk is whole, and what chunk `number` holds of them."""

    def __init__(self, operands: Operands, tiling: Tiling, at_once: int):
        b, h, slots, _ = operands.query.shape
        keys = operands.key.shape[2]
        self.query_tile, self.key_tile = tiling.query_tile, tiling.key_tile
        first, self.stride = tiling.regular
        most = max(1, at_once // (b * h * self.query_tile * self.key_tile))
        self.count = -(-tiling.tiles // most)
        self.tiles = -(-tiling.tiles // self.count)
        # As many slots of keys as a chunk's slices span together.
        self.span = (self.tiles - 1) * self.stride + self.key_tile
        self.before = max(-first, 0)
        self.first = first + self.before
        last = self.first + (self.count - 1) * self.tiles * self.stride + self.span
        self._more = self.count * self.tiles * self.query_tile - slots
        self.operands = operands.pad(self._more, self.before, max(last - self.before - keys, 0))

    def pad_queries(self, x: jax.Array, fill: float = 0) -> jax.Array:
        return jnp.pad(x, [(0, 0), (0, 0), (0, self._more)] + [(0, 0)] * (x.ndim - 3), constant_values=fill)

    def take(self, number: jax.Array) -> Tiles:
        o = self.operands
        return Tiles(
            query=self.queries(o.query, 2, number),
            key=self.keys(o.key, 2, number),
            value=self.keys(o.value, 2, number),
            query_side=jax.tree.map(lambda x: self.queries(x, 1, number), o.query_side),
            key_side=jax.tree.map(lambda x: self.keys(x, 1, number), o.key_side),
            keep=None if o.keep is None else self.keys(o.keep, 2, number),
            number=number,
        )

    def queries(self, x: jax.Array, axis: int, number: jax.Array) -> jax.Array:
        """[… slots …] → [… c q …]; with a stride of 0 all queries of a chunk are one tile."""
        length = self.tiles * self.query_tile
        x = jax.lax.dynamic_slice_in_dim(x, number * length, length, axis)
        return x.reshape(*x.shape[:axis], self._side_by_side, -1, *x.shape[axis + 1 :])

    def keys(self, x: jax.Array, axis: int, number: jax.Array) -> jax.Array:
        """[… slots …] → [… c m …]."""
        start = self.first + number * self.tiles * self.stride
        x = jax.lax.dynamic_slice_in_dim(x, start, self.span, axis)
        if not self.stride:
            return jnp.expand_dims(x, axis)
        x = x.reshape(*x.shape[:axis], -1, self.stride, *x.shape[axis + 1 :])
        shifts = [jax.lax.slice_in_dim(x, i, i + self.tiles, axis=axis) for i in range(self._shifts)]
        return jnp.concatenate(shifts, axis=axis + 1)

    def add(self, x: jax.Array, more: jax.Array, number: jax.Array) -> jax.Array:
        """x [b h slots k] with the chunk's `more` [b h c m k] added: the inverse of `keys`."""
        start = self.first + number * self.tiles * self.stride
        b, h, _, _, k = more.shape
        if self.stride:
            parts = more.reshape(b, h, self.tiles, self._shifts, self.stride, k)
            more = sum(
                jnp.pad(parts[:, :, :, i], [(0, 0), (0, 0), (i, self._shifts - 1 - i), (0, 0), (0, 0)])
                for i in range(self._shifts)
            )
        more = more.reshape(b, h, self.span, k)
        old = jax.lax.dynamic_slice_in_dim(x, start, self.span, 2)
        return jax.lax.dynamic_update_slice_in_dim(x, old + more, start, 2)

    @property
    def _side_by_side(self) -> int:
        return self.tiles if self.stride else 1

    @property
    def _shifts(self) -> int:
        return self.key_tile // self.stride


def _joined(x: jax.Array) -> jax.Array:
    """[chunks b h c q …] → [b h slots …]."""
    x = jnp.moveaxis(x, 0, 2)
    return x.reshape(*x.shape[:2], -1, *x.shape[5:])
