"""How a layer knows where a token stands: T5's relative buckets, sinusoids, or a learned table."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t.attention.buckets import relative_bucket
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer
from t2t.layers.patches import stretched

SMALL_BIAS = 2**21  # numbers in a relative bias [h n n], up to which it is made as one array


@flax.struct.dataclass
class RelativeBias:
    """A stack's relative bias as a value: called with positions, it makes the array that is added to logits.

    Attributes:
      table: float32 [h buckets].
    """

    table: jax.Array
    bidirectional: bool = flax.struct.field(pytree_node=False)
    max_distance: int = flax.struct.field(pytree_node=False)

    def of_distances(self, distance: jax.Array) -> jax.Array:
        """Distances, query position − key position, of any shape […] → [h …]."""
        bucket = relative_bucket(
            distance, bidirectional=self.bidirectional, buckets=self.table.shape[1], max_distance=self.max_distance
        )
        return jnp.take(self.table, bucket, axis=1)

    def __call__(self, query_positions: jax.Array, key_positions: jax.Array) -> jax.Array:
        """Positions [b n] and [b m] (or [n] and [m]) → [b h n m] (or [1 h n m])."""
        bias = self.of_distances(query_positions[..., :, None] - key_positions[..., None, :])  # [h (b) n m]
        return bias[None] if bias.ndim == 3 else jnp.moveaxis(bias, 0, 1)

    def of_row(self, length: int) -> "jax.Array | RelativeBias":
        """For a row of `length` positions that see each other: an array [1 h n n] where it is small, made once; else
        itself, of which every tile is made when it is needed."""
        positions = jnp.arange(length)
        return self(positions, positions) if self.table.shape[0] * length**2 <= SMALL_BIAS else self


class RelativeBiasTable(nn.Module):
    """The table of a layer, or the one that all layers of a stack share."""

    config: LayerConfig
    bidirectional: bool

    @nn.compact
    def __call__(self) -> RelativeBias:
        config = self.config
        table = self.param(
            "table",
            nn.with_logical_partitioning(initializer(config, "relative_bias"), ("heads", None)),
            (config.heads, config.relative_buckets),
            jnp.float32,
        )
        return RelativeBias(table, self.bidirectional, config.relative_max_distance)


def sinusoids(length: int, width: int) -> np.ndarray:
    """The table of Vaswani et al. 2017, section 3.5, float32 [length width]: sines in the first half, cosines in the
    second."""
    rates = 10_000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)


class PositionEmbedding(nn.Module):
    """Adds sinusoids or a learned row for each position.

    Attributes:
      max_length: rows of the table; positions beyond it are refused by the models before they get here.
    """

    config: LayerConfig
    max_length: int

    @nn.compact
    def __call__(self, x: jax.Array, positions: jax.Array | None, grids: tuple | None = None) -> jax.Array:
        """x [b n d], of whatever width, positions int [b n] or None for 0 … n−1 → [b n d].

        Args:
          grids: of patches: the rows and columns that the table is of, and those that x is of; see `stretched`.
        """
        config, width = self.config, x.shape[-1]
        if config.position_grid:
            table = self._grid(width)
        elif config.positions == "learned":
            table = self._learned("table", config.position_offset + self.max_length, width)
        else:
            table = jnp.asarray(sinusoids(self.max_length, width))
        if grids is not None:
            table = stretched(table, *grids)
        before = config.position_offset
        if positions is None:
            rows = table[None, before : before + x.shape[1]]
        else:
            rows = jnp.take(table, positions + before, axis=0)
        return x + rows.astype(x.dtype)

    def _learned(self, name: str, rows: int, width: int) -> jax.Array:
        init = nn.with_logical_partitioning(initializer(self.config, "embedding"), (None, "embed"))
        return self.param(name, init, (rows, width), jnp.float32)

    def _grid(self, width: int) -> jax.Array:
        """A row for each of max_length places, the last side fastest: the sum of one table for each side (Child et al.
        2019, section 5.3)."""
        sides = self.config.position_grid
        tables = [self._learned(f"table_{axis}", side, width) for axis, side in enumerate(sides)]
        place = np.unravel_index(np.arange(self.max_length), sides)
        return sum(jnp.take(table, index, axis=0) for table, index in zip(tables, place))
