"""Transient-global attention: a local window, and a summary of each block of the row (LongT5, Guo et al. 2022).

Each layer makes its summaries anew from its own inputs: the sum over a block, through an RMS norm and the layer's
projections of keys and values. One softmax is over the window and all summaries of the document (section 3.1.2).
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from t2t.attention.buckets import relative_bucket
from t2t.attention.documents import positions_in_documents, several_documents
from t2t.attention.mechanism import Mechanism, Parameter
from t2t.attention.named import bidirectional
from t2t.attention.windows import Everywhere, attend_windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransientGlobal(Mechanism):
    """LongT5's attention of encoders, at O(n (window + n / block)).

    A bias on the logits (T5's) applies inside the window; summaries have one of their own, by distance in blocks, which
    all layers share. Padding is in no summary. Blocks are those of the row; where it holds several documents, each has
    the blocks it would have alone: they begin where it begins, what is left behind the last whole block belongs to
    that, and one shorter than a block has none.

    Attributes:
      window: a query sees the keys less than `window` positions away: LongT5's local radius + 1.
      block: positions in a summary.
      buckets, max_distance: of the summaries' relative bias, T5's, in blocks.
      epsilon: of the summaries' norm, as T5's.
    """

    name: Literal["transient_global"] = "transient_global"
    window: int = 128
    block: int = 16
    buckets: int = 32
    max_distance: int = 128
    epsilon: float = 1e-6

    def __post_init__(self):
        for field in ("window", "block"):
            if getattr(self, field) < 1:
                raise ValueError(f"TransientGlobal.{field}: expected at least 1, found {getattr(self, field)}.")
        if self.buckets < 4 or self.buckets % 2:
            raise ValueError(f"TransientGlobal.buckets: expected an even number of at least 4, found {self.buckets}.")

    def check(self, *, causal, cross, positions):
        if causal or cross:
            raise ValueError(
                "TransientGlobal: summaries hold positions on both sides of a query in its own row, found "
                f"{'cross-attention' if cross else 'causal self-attention'}. Use Dense() in decoders, or a causal "
                "pattern such as local(128) in long ones; TransientGlobal is for encoders."
            )
        if positions == "rotary":
            raise ValueError(
                "TransientGlobal: a summary stands at no one position to which it could be turned, found positions "
                "'rotary'. Use positions 'relative_bias' (LongT5), 'learned' or 'sinusoidal'."
            )

    def parameters(self, sizes):
        return {
            "summary_scale": Parameter((sizes.width,), ("embed",), mean=1.0),
            "summary_bias": Parameter((sizes.heads, self.buckets), ("heads", None), std=sizes.width**-0.5, shared=True),
        }

    def flops(self, n, m, sizes, *, causal):
        inner, summaries = sizes.heads * sizes.head_width, m // self.block
        return 4.0 * inner * (n * (min(2 * self.window - 1, m) + summaries) + sizes.width * summaries)

    def init_state(self, batch, length, sizes, dtype):
        raise ValueError("TransientGlobal has no incremental decoding: it is for encoders. Use Dense() in decoders.")

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        if conditions.pattern != bidirectional():
            raise ValueError(
                f"TransientGlobal: summaries hold positions on both sides of a query, found pattern "
                f"{conditions.pattern!r}. Use Dense() or a sparse pattern where not everyone may see everyone."
            )
        if source is None or query.shape[1] != key.shape[1]:
            raise ValueError(
                "TransientGlobal: summaries are made of the inputs that keys were projected from, found keys without "
                "them, as in cross-attention. Use Dense() there."
            )
        segments = conditions.key_segments
        if segments is None:
            segments = jnp.ones(key.shape[:2], jnp.int32)
        blocks = blocks_of(segments, self.block)
        count = key.shape[1] // self.block
        sums = summarise(source.inputs, blocks, count, parameters["summary_scale"], self.epsilon)
        summaries = Everywhere(
            *source.project(sums),
            segments=_segments_of(segments, blocks, count),
        )

        def summary_bias(blocks):
            distance = blocks[:, :, None] - jnp.arange(count)
            bucket = relative_bucket(distance, bidirectional=True, buckets=self.buckets, max_distance=self.max_distance)
            return jnp.moveaxis(jnp.take(parameters["summary_bias"], bucket, axis=1), 0, 1)

        conditions = conditions.replace(
            query_segments=segments, key_segments=segments, query_positions=None, key_positions=None, prefix=None
        )
        return attend_windows(query, key, value, conditions, self.window, summaries, summary_bias, blocks), None


def blocks_of(segments: jax.Array, block: int) -> jax.Array:
    """The block of each position: segments int [b n] → int32 [b n], −1 where it is in none.

    Blocks count through the row. Of each document only whole ones count, and what follows the last belongs to it. In a
    row of one document they begin with the row, and as many are told apart as end in it: the published models' way,
    which says little where there is padding ahead.
    """
    return jnp.where(
        several_documents(segments), _blocks_of_documents(segments, block), _blocks_of_row(segments, block)
    )


def _blocks_of_row(segments: jax.Array, block: int) -> jax.Array:
    index, real = jnp.arange(segments.shape[1], dtype=jnp.int32), segments > 0
    ended = (real & (index % block == block - 1)).sum(1, keepdims=True)
    return jnp.where(real, jnp.minimum(index // block, ended - 1), -1)


def _blocks_of_documents(segments: jax.Array, block: int) -> jax.Array:
    index = jnp.arange(segments.shape[1], dtype=jnp.int32)
    within = positions_in_documents(segments)
    real, place = segments > 0, within % block
    ended = jnp.cumsum(real & (place == block - 1), axis=1, dtype=jnp.int32)  # blocks that end here or before
    end = index + block - 1 - place
    at_end = jnp.take_along_axis(segments, jnp.minimum(end, len(index) - 1), axis=1)
    whole = (end < len(index)) & (at_end == segments)
    before = ended - (place == block - 1)
    return jnp.where(real & (whole | (within >= block)), before - ~whole, -1)


def summarise(inputs: jax.Array, blocks: jax.Array, count: int, scale: jax.Array, epsilon: float) -> jax.Array:
    """The sum of each block's inputs [b n d], through an RMS norm with a scale [d] → [b g d], g = `count`."""
    sums = _by_block(jax.ops.segment_sum, inputs.astype(jnp.float32), blocks, count)
    norm = jax.lax.rsqrt(jnp.square(sums).mean(-1, keepdims=True) + epsilon)
    return (sums * norm * scale).astype(inputs.dtype)


def _segments_of(segments: jax.Array, blocks: jax.Array, count: int) -> jax.Array:
    """The segment of each block, 0 or less where there is none: int [b count]. In a row of one document, blocks before
    its last are there though nothing is in them."""
    found = _by_block(jax.ops.segment_max, segments, blocks, count)
    there = jnp.arange(count) <= blocks.max(1, keepdims=True)
    only = jnp.where(there, segments.max(1, keepdims=True), 0)
    return jnp.where(several_documents(segments), found, only)


def _by_block(reduce: Callable, x: jax.Array, blocks: jax.Array, count: int) -> jax.Array:
    """Reduces [b n …] over the positions of each block → [b count …]."""
    blocks = jnp.where(blocks >= 0, blocks, count)  # one more, for what is in none
    return jax.vmap(lambda x, i: reduce(x, i, num_segments=count + 1))(x, blocks)[:, :count]
