"""Orders in which positions are laid out, so that a sparse pattern's pairs come to lie in dense tiles.

The strided pattern is block-diagonal once every residue's positions stand together; a summary pattern is dense once the
summary keys stand alone. Laying out is reshapes, slices and transposes, never a gather over all positions.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

GRAIN = 16  # runs of one group begin at multiples of it, so that no small tile holds two groups


@dataclasses.dataclass(frozen=True)
class Order:
    """Positions 0 … n−1 as they are: the simplest order, and the base of the others.

    Attributes:
      n: how many positions there are.
    """

    n: int

    @property
    def positions(self) -> np.ndarray:
        """The position in each slot, −1 where a slot is empty; a multiple of GRAIN slots."""
        return np.asarray(self._pad(np.arange(self.n)[None], -1))[0]

    @property
    def groups(self) -> np.ndarray | None:
        """The group of each slot where only pairs of one group may meet; None where there are no groups."""
        return None

    def lay(self, x: jax.Array, fill: float = 0) -> jax.Array:
        """[b n …] → [b slots …], with `fill` in empty slots."""
        return self._pad(x, fill)

    def undo(self, x: jax.Array, fill: float = 0) -> jax.Array:
        """[b slots …] → [b n …], with `fill` at positions that have no slot."""
        return x[:, : self.n]

    def _pad(self, x, fill):
        """Axis 1 padded to a multiple of GRAIN."""
        xp = np if isinstance(x, np.ndarray) else jnp
        widths = [(0, 0)] * x.ndim
        widths[1] = (0, -x.shape[1] % GRAIN)
        return xp.pad(x, widths, constant_values=fill)


@dataclasses.dataclass(frozen=True)
class Columns(Order):
    """The positions of each residue modulo `stride` together: column by column, if the sequence is written in rows."""

    stride: int

    @property
    def positions(self):
        return np.asarray(self.lay(np.arange(self.n)[None], -1))[0]

    @property
    def groups(self):
        return np.repeat(np.arange(self.stride), len(self.positions) // self.stride)

    def lay(self, x, fill=0):
        xp = np if isinstance(x, np.ndarray) else jnp
        b, rest = x.shape[0], x.shape[2:]
        rows = -(-self.n // self.stride)
        widths = [(0, 0), (0, rows * self.stride - self.n)] + [(0, 0)] * len(rest)
        x = xp.pad(x, widths, constant_values=fill).reshape(b, rows, self.stride, *rest)
        x = self._pad(xp.swapaxes(x, 1, 2).reshape(b * self.stride, rows, *rest), fill)
        return x.reshape(b, -1, *rest)

    def undo(self, x, fill=0):
        b, rest = x.shape[0], x.shape[2:]
        rows = -(-self.n // self.stride)
        x = x.reshape(b, self.stride, -1, *rest)[:, :, :rows]
        return jnp.swapaxes(x, 1, 2).reshape(b, rows * self.stride, *rest)[:, : self.n]


@dataclasses.dataclass(frozen=True)
class First(Order):
    """The first `count` positions alone."""

    count: int

    @property
    def positions(self):
        return np.asarray(self.lay(np.arange(self.n)[None], -1))[0]

    def lay(self, x, fill=0):
        return self._pad(x[:, : self.count], fill)

    def undo(self, x, fill=0):
        kept = min(self.count, self.n)
        widths = [(0, 0), (0, self.n - kept)] + [(0, 0)] * (x.ndim - 2)
        return jnp.pad(x[:, :kept], widths, constant_values=fill)


@dataclasses.dataclass(frozen=True)
class BlockEnds(Order):
    """The last `count` positions of each whole block of `length`."""

    length: int
    count: int

    @property
    def positions(self):
        return np.asarray(self.lay(np.arange(self.n)[None], -1))[0]

    def lay(self, x, fill=0):
        b, rest, whole = x.shape[0], x.shape[2:], self.n // self.length * self.length
        ends = x[:, :whole].reshape(b, -1, self.length, *rest)[:, :, self.length - self.count :]
        tail = x[:, whole:][:, self.length - self.count :]  # of a last block that is not whole
        xp = np if isinstance(x, np.ndarray) else jnp
        return self._pad(xp.concatenate([ends.reshape(b, -1, *rest), tail], axis=1), fill)

    def undo(self, x, fill=0):
        b, rest, blocks = x.shape[0], x.shape[2:], self.n // self.length
        tail = max(self.n - blocks * self.length - (self.length - self.count), 0)
        ends = x[:, : blocks * self.count].reshape(b, blocks, self.count, *rest)
        gap = [(0, 0), (0, 0), (self.length - self.count, 0)] + [(0, 0)] * len(rest)
        whole = jnp.pad(ends, gap, constant_values=fill).reshape(b, blocks * self.length, *rest)
        last = x[:, blocks * self.count : blocks * self.count + tail]
        widths = [(0, 0), (self.n - blocks * self.length - tail, 0)] + [(0, 0)] * len(rest)
        return jnp.concatenate([whole, jnp.pad(last, widths, constant_values=fill)], axis=1)
