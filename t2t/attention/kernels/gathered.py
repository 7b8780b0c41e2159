"""Many tiles at once, where their slices of keys begin anywhere: keys are gathered, and what the slices of a row give
is joined by segment sums. For accelerators, which a loop over single tiles would leave idle; rows of unequal weight pay
for no more than their own slices."""

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.kernels import tiles as of_tiles
from t2t.attention.kernels.tiles import FLOOR, MASKED, Operands, Rule, Tiles, pad
from t2t.attention.tiling import Tiling


def forward(operands: Operands, tiling: Tiling, rule: Rule, at_once: int) -> tuple[jax.Array, jax.Array]:
    """Attention of laid-out arrays; see `looped.forward`."""
    b, slots, h, k = operands.query.shape
    items = _Items(operands, tiling, at_once)

    def chunk(so_far, number):
        values, totals, maxima = so_far
        tiles, of = items.take(number)
        more = of_tiles.forward(tiles, operands.bias, operands.dropout_key, rule)
        highest = jnp.maximum(maxima, items.joined(more[2], of, jax.ops.segment_max))
        old, new = jnp.exp(maxima - highest), jnp.exp(more[2] - jnp.take(highest, of, axis=2))
        values = values * old[..., None] + items.joined(more[0] * new[..., None], of, jax.ops.segment_sum)
        return (values, totals * old + items.joined(more[1] * new, of, jax.ops.segment_sum), highest), None

    lead = (b, h, tiling.tiles + 1, tiling.query_tile)
    none = jnp.zeros((*lead, k), jnp.float32), jnp.zeros(lead, jnp.float32), jnp.full(lead, FLOOR, jnp.float32)
    (values, totals, maxima), _ = jax.lax.scan(chunk, none, jnp.arange(items.chunks))
    seen = totals > 0
    divisor = jnp.where(seen, totals, 1.0)
    out = (values / divisor[..., None]).astype(operands.value.dtype)
    total = jnp.where(seen, maxima + jnp.log(divisor), MASKED)
    return items.in_slots(out)[:, :slots], items.in_slots(total)[:, :slots]


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
    slots, keys = operands.query.shape[1], operands.key.shape[1]
    items = _Items(operands, tiling, at_once)
    # Rows that are not there weigh nothing.
    given = [pad(x, 0, items.missing, fill) for x, fill in ((out, 0), (total, -MASKED), (delta, 0))]

    def chunk(so_far, number):
        d_query, d_key, d_value, d_bias = so_far
        tiles, of = items.take(number)
        mine = (items.queries(x, of) for x in given)
        of_query, of_key, of_value, d_bias = of_tiles.backward(
            tiles, operands.bias, operands.dropout_key, rule, d_bias, *mine
        )
        d_query = d_query + items.joined(of_query, of, jax.ops.segment_sum)
        d_key, d_value = items.add(d_key, of_key, number), items.add(d_value, of_value, number)
        return (d_query, d_key, d_value, d_bias), None

    b, _, h, k = operands.query.shape
    none = jnp.zeros((b, h, tiling.tiles + 1, tiling.query_tile, k), jnp.float32)
    zero = jnp.zeros_like(items.operands.key, jnp.float32)
    gradients, _ = jax.lax.scan(chunk, (none, zero, zero, d_bias), jnp.arange(items.chunks))
    d_query, d_key, d_value, d_bias = gradients
    return items.in_slots(d_query)[:, :slots], d_key[:, :keys], d_value[:, :keys], d_bias


class _Items:
    """Pairs of a tile of queries and a slice of keys, in chunks of equal size. Items that fill the last chunk are of a
    tile behind the last one, which is dropped, and of slots of keys that are empty."""

    def __init__(self, operands: Operands, tiling: Tiling, at_once: int):
        b, slots, h, _ = operands.query.shape
        keys, count = operands.key.shape[1], tiling.items
        self.tiling = tiling
        most = max(1, at_once // (b * h * tiling.query_tile * tiling.key_tile))
        self.chunks = -(-count // most)
        each = -(-count // self.chunks)
        tile, start = (np.asarray(x, np.int32) for x in zip(*tiling.slices(regular=False)))
        last = int(start.max()) + tiling.key_tile
        fill = self.chunks * each - count
        self.tile = jnp.asarray(np.pad(tile, (0, fill), constant_values=tiling.tiles)).reshape(self.chunks, each)
        self.start = jnp.asarray(np.pad(start, (0, fill), constant_values=last)).reshape(self.chunks, each)
        self.missing = (tiling.tiles + 1) * tiling.query_tile - slots
        self.operands = operands.pad(self.missing, 0, last + tiling.key_tile - keys)

    def take(self, number: jax.Array) -> tuple[Tiles, jax.Array]:
        """The items of a chunk, and the tile that each is of."""
        o, of = self.operands, self.tile[number]
        return Tiles(
            query=self.queries(o.query, of),
            key=self._keys(o.key, number),
            value=self._keys(o.value, number),
            query_side=jax.tree.map(lambda x: self.queries(x, of), o.query_side),
            key_side=jax.tree.map(lambda x: self._keys(x, number), o.key_side),
            keep=None if o.keep is None else self._keys(o.keep, number),
            number=number,
            offset=of * self.tiling.query_tile - self.start[number] if o.even else None,
        ), of

    def queries(self, x: jax.Array, of: jax.Array) -> jax.Array:
        """[b slots h …] → [b h c q …], and [b slots] → [b c q]."""
        x = x.reshape(x.shape[0], self.tiling.tiles + 1, self.tiling.query_tile, *x.shape[2:])
        return _heads_first(jnp.take(x, of, axis=1))

    def joined(self, x: jax.Array, of: jax.Array, how) -> jax.Array:
        """[b h c q …] → [b h tiles q …], what the items of a tile have together."""
        joined = how(jnp.moveaxis(x, 2, 0), of, self.tiling.tiles + 1, indices_are_sorted=True)
        return jnp.moveaxis(joined, 0, 2)

    def add(self, x: jax.Array, more: jax.Array, number: jax.Array) -> jax.Array:
        """x [b slots h k] with the chunk's `more` [b h c m k] added."""
        b, h, c, m, k = more.shape
        return x.at[:, self._slots(number).reshape(-1)].add(jnp.moveaxis(more, 1, 3).reshape(b, c * m, h, k))

    def in_slots(self, x: jax.Array) -> jax.Array:
        """[b h tiles q …] → [b slots h …]."""
        x = jnp.moveaxis(x, 1, 3)
        return x.reshape(x.shape[0], -1, *x.shape[3:])

    def _keys(self, x: jax.Array, number: jax.Array) -> jax.Array:
        """[b slots h …] → [b h c m …], and [b slots] → [b c m]."""
        return _heads_first(jnp.take(x, self._slots(number), axis=1))

    def _slots(self, number: jax.Array) -> jax.Array:
        return self.start[number][:, None] + jnp.arange(self.tiling.key_tile)


def _heads_first(x: jax.Array) -> jax.Array:
    """[b c q h …] → [b h c q …]; [b c q] stays."""
    return jnp.moveaxis(x, 3, 1) if x.ndim > 3 else x
