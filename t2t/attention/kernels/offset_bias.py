"""A bias that is a function of the distance alone, made once for all tiles of a piece.

It is the same for all tiles whose first query stands as far behind their first key, and of such offsets there are few:
the diagonals of tiles, and of a bias with a reach only those within it. So a tile takes what was made for its offset
and adds its gradient to what is summed there, and none looks anything up. They lie in memory tile after tile: rows out
of a wider array would come at half the speed. Tiles beyond the reach have one number a head.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.tiling import Tiling

MOST_OFFSETS = 64  # beyond which memory would grow too much: then every tile makes its own


@flax.struct.dataclass
class OffsetBias:
    """The bias of every offset of tiles of q queries and m keys.

    Attributes:
      array: float32 [o h q m]; or, turned for the backward pass, in which tiles are so, [o h m q].
      offsets: how far the first query stands behind the first key, from low to high.
      turned: see `array`.
      ends: whether the first and the last of `offsets` stand for all below and above: no pair there is in reach.
    """

    array: jax.Array
    offsets: tuple[int, ...] = flax.struct.field(pytree_node=False)
    turned: bool = flax.struct.field(pytree_node=False)
    ends: tuple[bool, bool] = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, bias: Any, tiling: Tiling, *, turned: bool) -> "OffsetBias | None":
        """That of a bias with `of_distances` (see `tiles.bias_of`) and all slices of a tiling whose slots are
        positions; None where there are too many offsets."""
        q, m = tiling.query_tile, tiling.key_tile
        tile, start = np.asarray(tiling.slices(), np.int64).T
        offsets, ends = tile * q - start, (False, False)
        if (far := reach(bias)) is not None:  # a tile that is farther away sees what one as far as that sees
            low, high = -(far + q - 1), far + m - 1
            offsets, ends = np.clip(offsets, low, high), (offsets.min() <= low, offsets.max() >= high)
        offsets = np.unique(offsets)
        if len(offsets) > MOST_OFFSETS:
            return None
        nearest, farthest = offsets[0], offsets[-1]
        distances = np.arange(nearest - (m - 1), farthest + q)
        made = bias.of_distances(jnp.asarray(distances if turned else distances[::-1], jnp.int32))
        rows, width = (m, q) if turned else (q, m)
        wide = _sheared(made.astype(jnp.float32), rows)
        firsts = offsets - nearest if turned else farthest - offsets
        array = jnp.stack([wide[:, :, first : first + width] for first in firsts])
        return cls(array, tuple(offsets.tolist()), turned, tuple(map(bool, ends)))

    def runs(self, tiling: Tiling) -> list[tuple["OffsetBias | ShiftBias", np.ndarray, np.ndarray]]:
        """Runs of each tile's items that have one kind of bias: that, and [tiles] the first item and the one behind the
        last."""
        tile = np.repeat(np.arange(tiling.tiles), np.diff(tiling.offsets))
        offsets = tile * tiling.query_tile - tiling.starts  # of a tile they fall
        behind = (offsets <= self.offsets[0]) & self.ends[0]
        ahead = (offsets >= self.offsets[-1]) & self.ends[1]
        first, last = tiling.offsets[:-1], tiling.offsets[1:]
        near = first + np.bincount(tile[ahead], minlength=tiling.tiles)
        far = last - np.bincount(tile[behind], minlength=tiling.tiles)
        places = (len(self.offsets) - 1, first, near), (None, near, far), (0, far, last)
        return [
            (self if place is None else ShiftBias(self.array[place, :, 0, 0], place), begin, end)
            for place, begin, end in places
            if (begin < end).any()
        ]

    def shifted(self, more: "ShiftBias") -> "OffsetBias":
        """Itself with the gradient of a run that is only shifted."""
        return self.replace(array=self.array.at[more.place, :, 0, 0].add(more.array))

    def of_tiles(self, offset: jax.Array) -> jax.Array:
        """Offsets, an int32 scalar or [c] → the bias of such tiles, [h c q m], where c is 1 for a scalar."""
        made = jnp.moveaxis(self.array[jnp.atleast_1d(self._place(offset))], 0, 1)
        return jnp.swapaxes(made, 2, 3) if self.turned else made

    def add(self, offset: jax.Array, more: jax.Array) -> "OffsetBias":
        """Itself with `more`, as `of_tiles` gives it, added where that came from."""
        place, more = self._place(offset), jnp.moveaxis(jnp.swapaxes(more, 2, 3) if self.turned else more, 1, 0)
        if place.ndim:
            return self.replace(array=self.array.at[place].add(more))
        old = jax.lax.dynamic_index_in_dim(self.array, place)
        return self.replace(array=jax.lax.dynamic_update_index_in_dim(self.array, old + more, place, 0))

    def _place(self, offset: jax.Array) -> jax.Array:
        """Where the offset is among all. That of tiles that are wholly empty may be any."""
        offset = jnp.clip(offset, self.offsets[0], self.offsets[-1])
        return (offset[..., None] > jnp.asarray(self.offsets)).sum(-1)


@flax.struct.dataclass
class ShiftBias:
    """A bias that is one number for all pairs of a head.

    Attributes:
      array: float32 [h].
      place: whose it is among the offsets of an `OffsetBias`.
    """

    array: jax.Array
    place: int = flax.struct.field(pytree_node=False)


def reach(bias: Any) -> int | None:
    """From how far away a bias no longer changes, if it is a function of the distance alone (see `tiles.bias_of`) and
    says so by `max_distance`."""
    return getattr(bias, "max_distance", None) if hasattr(bias, "of_distances") else None


def _sheared(x: jax.Array, rows: int) -> jax.Array:
    """[h w + rows − 1] → [h rows w], each row one column ahead of the next, and the last as it is."""
    h, columns = x.shape
    # In the order of memory that is rows of one column more, read as rows that are one shorter.
    # Repeated by a product with ones, so that the gradient is such a product too: faster than a sum on a CPU.
    flat = jnp.einsum("hr,hw->hrw", jnp.ones((h, rows), x.dtype), jnp.pad(x, ((0, 0), (0, 1)))).reshape(h, -1)
    flat = flat[:, rows - 1 : rows - 1 + rows * columns]
    return flat.reshape(h, rows, columns)[:, :, : columns - rows + 1]
