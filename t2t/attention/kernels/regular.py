"""Many tiles at once, where tile t needs one slice of keys and the slices begin at regular distances: a local window,
columns, blocks. Slices are reshapes and shifts, so that no device needs a gather."""

import jax
import jax.numpy as jnp

from t2t.attention.kernels import groups
from t2t.attention.kernels import tiles as of_tiles
from t2t.attention.kernels.tiles import MASKED, Operands, Rule, Tiles, pad
from t2t.attention.tiling import Tiling


def forward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int) -> tuple[jax.Array, jax.Array]:
    """Attention of laid-out arrays; see `looped.forward`."""
    return groups.forward(lambda some: _forward(some, tiling, rule, at_once), operands, tiling, at_once)


def _forward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int) -> tuple[jax.Array, jax.Array]:
    slots = operands.query.shape[1]
    chunks = _Chunks(operands, tiling, at_once)

    def chunk(number):
        values, totals, maxima = of_tiles.forward(chunks.take(number), operands.bias, operands.dropout_key, rule)
        seen = totals > 0
        divisor = jnp.where(seen, totals, 1.0)
        out = (values / divisor[..., None]).astype(operands.value.dtype)
        return _heads_last(out), _heads_last(jnp.where(seen, maxima + jnp.log(divisor), MASKED))

    out, total = jax.lax.map(chunk, jnp.arange(chunks.count))
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
    """Gradients; see `looped.backward`."""

    def of_some(operands, *given):
        return _backward(operands, tiling, rule, at_once, *given)

    return groups.backward(of_some, operands, tiling, at_once, d_bias, out, total, delta)


def _backward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int, d_bias, out, total, delta):
    slots, keys = operands.query.shape[1], operands.key.shape[1]
    chunks = _Chunks(operands, tiling, at_once)
    # Rows that are not there weigh nothing.
    given = [pad(x, 0, chunks.missing, fill) for x, fill in ((out, 0), (total, -MASKED), (delta, 0))]

    def chunk(gradients, number):
        d_key, d_value, d_bias = gradients
        mine = (_heads_first(chunks.queries(x, number)) for x in given)
        d_query, of_key, of_value, d_bias = of_tiles.backward(
            chunks.take(number), operands.bias, operands.dropout_key, rule, d_bias, *mine
        )
        d_key = chunks.add(d_key, _heads_last(of_key), number)
        d_value = chunks.add(d_value, _heads_last(of_value), number)
        return (d_key, d_value, d_bias), _heads_last(d_query)

    zero = jnp.zeros_like(chunks.operands.key, jnp.float32)
    (d_key, d_value, d_bias), d_query = jax.lax.scan(chunk, (zero, zero, d_bias), jnp.arange(chunks.count))
    begin = slice(chunks.before, chunks.before + keys)
    return _joined(d_query)[:, :slots], d_key[:, begin], d_value[:, begin], d_bias


class _Chunks:
    """Operands padded so that every chunk is whole, and what chunk `number` holds of them."""

    def __init__(self, operands: Operands, tiling: Tiling, at_once: int):
        b, slots, h, _ = operands.query.shape
        keys = operands.key.shape[1]
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
        self.missing = self.count * self.tiles * self.query_tile - slots
        self.operands = operands.pad(self.missing, self.before, max(last - self.before - keys, 0))

    def take(self, number: jax.Array) -> Tiles:
        o = self.operands
        return Tiles(
            query=_heads_first(self.queries(o.query, number)),
            key=_heads_first(self.keys(o.key, number)),
            value=_heads_first(self.keys(o.value, number)),
            query_side=jax.tree.map(lambda x: self.queries(x, number), o.query_side),
            key_side=jax.tree.map(lambda x: self.keys(x, number), o.key_side),
            keep=None if o.keep is None else _heads_first(self.keys(o.keep, number)),
            number=number,
            offset=self._offset(number) if o.even else None,
        )

    def queries(self, x: jax.Array, number: jax.Array) -> jax.Array:
        """[b slots …] → [b c q …]; with a stride of 0 all queries of a chunk are one tile."""
        length = self.tiles * self.query_tile
        x = jax.lax.dynamic_slice_in_dim(x, number * length, length, 1)
        return x.reshape(x.shape[0], self.tiles if self.stride else 1, -1, *x.shape[2:])

    def keys(self, x: jax.Array, number: jax.Array) -> jax.Array:
        """[b slots …] → [b c m …]."""
        start = self.first + number * self.tiles * self.stride
        x = jax.lax.dynamic_slice_in_dim(x, start, self.span, 1)
        if not self.stride:
            return x[:, None]
        x = x.reshape(x.shape[0], -1, self.stride, *x.shape[2:])
        return jnp.concatenate([x[:, i : i + self.tiles] for i in range(self._shifts)], axis=2)

    def add(self, x: jax.Array, more: jax.Array, number: jax.Array) -> jax.Array:
        """x [b slots h k] with the chunk's `more` [b c m h k] added: the inverse of `keys`."""
        start = self.first + number * self.tiles * self.stride
        b, _, _, h, k = more.shape
        if self.stride:
            parts = more.reshape(b, self.tiles, self._shifts, self.stride, h, k)
            more = sum(pad(parts[:, :, i], i, self._shifts - 1 - i) for i in range(self._shifts))
        more = more.reshape(b, self.span, h, k)
        old = jax.lax.dynamic_slice_in_dim(x, start, self.span, 1)
        return jax.lax.dynamic_update_slice_in_dim(x, old + more, start, 1)

    def _offset(self, number: jax.Array) -> jax.Array:
        """How far the first query of each tile stands behind its first key: all alike where slices move as tiles do."""
        tile = 0 if self.stride else number * self.tiles + jnp.arange(self.tiles)
        return jnp.asarray(tile * self.query_tile - (self.first - self.before), jnp.int32)

    @property
    def _shifts(self) -> int:
        return self.key_tile // self.stride


def _heads_first(x: jax.Array) -> jax.Array:
    """[b c q h …] → [b h c q …]."""
    return jnp.moveaxis(x, 3, 1)


def _heads_last(x: jax.Array) -> jax.Array:
    """[b h c q …] → [b c q h …]."""
    return jnp.moveaxis(x, 1, 3)


def _joined(x: jax.Array) -> jax.Array:
    """[chunks b c q h …] → [b slots h …]."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[4:])
