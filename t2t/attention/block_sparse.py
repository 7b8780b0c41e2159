"""BigBird's attention as its published weights compute it (Zaheer et al. 2020, section 2 and appendix D).

Blocks of positions see themselves, their two neighbours, and the first and the last block, which see all. Blocks drawn
at random are of training alone: whoever evaluates the published models takes the first block for each of them, so that
its keys count once more for every random block in the softmax of all but the first and last queries. That is no mask
but a weight, log(1 + random) on these logits.
"""

import dataclasses
import math
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.documents import positions_in_documents, several_documents
from t2t.attention.kernels.tiles import MASKED
from t2t.attention.masked import attend_masked
from t2t.attention.mechanism import Conditions, Mechanism
from t2t.attention.named import bidirectional, big_bird
from t2t.attention.pattern import Pattern


@dataclasses.dataclass(frozen=True, kw_only=True)
class BigBird(Mechanism):
    """BigBird's attention of encoders, at O(n block); a pattern alone, with random blocks, is `Sparse` with `big_bird`.

    Blocks are those of the row, padding and all, as in the published models: more padding is another pattern. Where a
    row holds several documents, each has the blocks that it would have alone, at the price of dense attention. A row
    or document of at most (5 + 2 random) blocks sees all of itself.

    Attributes:
      block: positions in a block.
      random: blocks that each block saw at random in training.
    """

    name: Literal["big_bird"] = "big_bird"
    block: int = 64
    random: int = 3

    def __post_init__(self):
        for field, least in (("block", 1), ("random", 0)):
            if getattr(self, field) < least:
                raise ValueError(f"BigBird.{field}: expected at least {least}, found {getattr(self, field)}.")

    @property
    def dense_length(self) -> int:
        """Up to which length everyone sees everyone."""
        return (5 + 2 * self.random) * self.block

    def check(self, *, causal, cross, positions):
        if causal or cross:
            raise ValueError(
                "BigBird: the first and the last block see all of their own row, found "
                f"{'cross-attention' if cross else 'causal self-attention'}. Use Dense(), or in decoders a causal "
                "pattern such as Sparse(pattern='local(256)')."
            )
        if positions == "relative_bias":
            raise ValueError(
                "BigBird: its logits have a bias already, that of the first block; found positions 'relative_bias'. "
                "Use positions 'learned', 'sinusoidal' or 'rotary', or Sparse() with a big_bird pattern."
            )

    def flops(self, n, m, sizes, *, causal):
        return 4.0 * sizes.heads * sizes.head_width * self._pattern(n).cost(n, m).pairs

    def init_state(self, batch, length, sizes, dtype):
        raise ValueError("BigBird has no incremental decoding: it is for encoders. Use Sparse() in decoders.")

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        self._refuse(query, key, conditions)
        conditions = conditions.replace(query_positions=None, key_positions=None, prefix=None)
        segments, n = conditions.key_segments, key.shape[1]
        if n <= self.dense_length:
            return attend(query, key, value, **conditions.keywords()), None
        conditions = conditions.replace(query_segments=segments)  # padding sees nothing, as in the published models
        again = Again(self.block, (-(-n // self.block) - 1) * self.block, self.random)

        def by_blocks():
            here = conditions.replace(pattern=self._pattern(n), bias=again if self.random else None)
            return attend(query, key, value, **here.keywords())

        if segments is None:
            return by_blocks(), None
        packed = several_documents(segments)
        return jax.lax.cond(packed.any(), lambda: self._packed(query, key, value, conditions, packed), by_blocks), None

    def _pattern(self, n: int) -> Pattern:
        return bidirectional() if n <= self.dense_length else big_bird(self.block, n, random=0)

    def _packed(self, query, key, value, conditions: Conditions, packed: jax.Array) -> jax.Array:
        """Every pair, by the blocks of each document of a row that holds several; packed bool [b 1]."""
        segments, n = conditions.key_segments, key.shape[1]
        within, index = positions_in_documents(segments), jnp.arange(n)
        ends = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (0, 1)), constant_values=True)
        end = jax.lax.cummin(jnp.where(ends, index, n), axis=1, reverse=True)
        block = jnp.where(packed, within, index) // self.block
        length = jnp.where(packed, within + end - index + 1, n)
        last = -(-length // self.block) - 1

        def bias(known):
            query_block, last, length = (x[:, :, None] for x in known)
            key_block = block[:, None]
            ends = [(x == 0) | (x == last) for x in (query_block, key_block)]
            dense = length <= self.dense_length
            meet = dense | ends[0] | ends[1] | (abs(query_block - key_block) <= 1)
            more = jnp.where((key_block == 0) & ~ends[0] & ~dense, math.log(1 + self.random), 0.0)
            return jnp.where(meet, more, MASKED)[:, None]

        return attend_masked(query, key, value, conditions, (block, last, length), bias)

    def _refuse(self, query, key, conditions: Conditions) -> None:
        if conditions.pattern != bidirectional() or query.shape[1] != key.shape[1]:
            raise ValueError(
                "BigBird: the first and the last block of a row see all of it, found "
                f"{query.shape[1]} queries, {key.shape[1]} keys and pattern {conditions.pattern!r}. Use Dense() there."
            )
        if conditions.bias is not None:
            raise ValueError("BigBird: its logits have a bias already. Use Sparse() with a big_bird pattern.")


@flax.struct.dataclass
class Again:
    """The bias of keys in the first block, which queries between it and the last see `times` times more."""

    block: int = flax.struct.field(pytree_node=False)
    last: int = flax.struct.field(pytree_node=False)
    times: int = flax.struct.field(pytree_node=False)

    def __call__(self, query_positions: jax.Array, key_positions: jax.Array) -> jax.Array:
        """Positions [b n] and [b m] → [b 1 n m]."""
        between = (query_positions >= self.block) & (query_positions < self.last)
        both = between[:, None, :, None] & (key_positions < self.block)[:, None, None]
        return jnp.where(both, math.log(1 + self.times), 0.0)
