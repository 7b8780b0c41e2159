"""A bias that is a function of the distance alone, made once for all tiles of a piece.

Seen from a tile's first query and first key, such a bias is one wide array, of which tiles see different columns: those
by which the query stands behind the key. So a tile takes a slice of it and gives its gradient back to the same slice,
and no tile looks anything up.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.tiling import Tiling


@flax.struct.dataclass
class Band:
    """The bias of every distance that tiles of q queries and m keys meet.

    Attributes:
      array: float32 [h q w], w − m + 1 tiles of which each begins one column after the last, the farthest first; or,
        turned for the backward pass, in which tiles are [m q], [h m w], the nearest first.
      nearest, farthest: of the tiles' offsets, how far the first query stands behind the first key. Beyond them the
        bias no longer changes.
      turned: see `array`.
    """

    array: jax.Array
    nearest: int = flax.struct.field(pytree_node=False)
    farthest: int = flax.struct.field(pytree_node=False)
    turned: bool = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, bias: Any, tiling: Tiling, *, turned: bool) -> "Band":
        """The band of a bias with `of_distances` (see `tiles.bias_of`) and all slices of a tiling whose slots are
        positions."""
        q, m = tiling.query_tile, tiling.key_tile
        tile, start = np.asarray(tiling.slices(), np.int64).T
        offsets = tile * q - start
        if (far := reach(bias)) is not None:  # a tile that is farther away sees what one as far as that sees
            offsets = np.clip(offsets, -(far + q - 1), far + m - 1)
        nearest, farthest = int(offsets.min()), int(offsets.max())
        distances = np.arange(nearest - (m - 1), farthest + q)
        made = bias.of_distances(jnp.asarray(distances if turned else distances[::-1], jnp.int32))
        return cls(_sheared(made.astype(jnp.float32), m if turned else q), nearest, farthest, turned)

    def of_tiles(self, offset: jax.Array) -> jax.Array:
        """Offsets, an int32 scalar or [c] → the bias of such tiles, [h c q m], where c is 1 for a scalar."""
        width = self.array.shape[2] - (self.farthest - self.nearest)
        made = _columns(self.array, jnp.atleast_1d(self._first(offset)), width)
        return jnp.swapaxes(made, 2, 3) if self.turned else made

    def add(self, offset: jax.Array, more: jax.Array) -> "Band":
        """The band with `more`, as `of_tiles` gives it, added where that came from."""
        first, more = self._first(offset), jnp.swapaxes(more, 2, 3) if self.turned else more
        if first.ndim == 0:  # in its own memory
            old = jax.lax.dynamic_slice_in_dim(self.array, first, more.shape[3], axis=2)
            array = jax.lax.dynamic_update_slice_in_dim(self.array, old + more[:, 0], first, axis=2)
        else:
            back = jax.linear_transpose(lambda array: _columns(array, first, more.shape[3]), self.array)
            array = self.array + back(more)[0]
        return self.replace(array=array)

    def _first(self, offset: jax.Array) -> jax.Array:
        """The first column of tiles. Those of tiles that are wholly empty may be any."""
        offset = jnp.clip(offset, self.nearest, self.farthest)
        return offset - self.nearest if self.turned else self.farthest - offset


def reach(bias: Any) -> int | None:
    """From how far away a bias no longer changes, if it is a function of the distance alone (see `tiles.bias_of`) and
    says so by `max_distance`."""
    return getattr(bias, "max_distance", None) if hasattr(bias, "of_distances") else None


def _columns(array: jax.Array, first: jax.Array, width: int) -> jax.Array:
    """[h r w], first columns [c] → [h c r width]."""
    take = jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(array, start, width, axis=2), out_axes=1)
    return take(first)


def _sheared(x: jax.Array, rows: int) -> jax.Array:
    """[h w + rows − 1] → [h rows w], each row one column ahead of the next, and the last as it is."""
    h, columns = x.shape
    # In the order of memory that is rows of one column more, read as rows that are one shorter.
    flat = jnp.broadcast_to(jnp.pad(x, ((0, 0), (0, 1)))[:, None], (h, rows, columns + 1)).reshape(h, -1)
    flat = flat[:, rows - 1 : rows - 1 + rows * columns]
    return flat.reshape(h, rows, columns)[:, :, : columns - rows + 1]
