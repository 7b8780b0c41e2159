"""Transient-global attention: a local window, and a summary of each block of the row (LongT5, Guo et al. 2022).

Each layer makes its summaries anew from its own inputs: the sum over a block, through an RMS norm and the layer's
projections of keys and values. One softmax is over the window and all summaries of the document (section 3.1.2).
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.attend import attend
from t2t.attention.buckets import relative_bucket
from t2t.attention.chunks import join, split
from t2t.attention.documents import positions_in_documents
from t2t.attention.mechanism import Conditions, Mechanism, Parameter
from t2t.attention.named import bidirectional

FAR = -1e10  # the bias of a pair beyond the window
EPSILON = 1e-6  # of the norm, as T5's


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransientGlobal(Mechanism):
    """LongT5's attention of encoders, at O(n (window + n / block)).

    A bias on the logits (T5's) applies inside the window; summaries have one of their own, by distance in blocks, which
    all layers share. Padding is in no summary. A packed document has the blocks it would have alone: they begin where
    it begins, what is left behind the last whole block belongs to that, and one shorter than a block has none.

    Attributes:
      window: a query sees the keys less than `window` positions away: LongT5's local radius + 1.
      block: positions in a summary.
      buckets, max_distance: of the summaries' relative bias, T5's, in blocks.
    """

    name: Literal["transient_global"] = "transient_global"
    window: int = 128
    block: int = 16
    buckets: int = 32
    max_distance: int = 128

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
        summaries = Summaries(
            *source.project(summarise(source.inputs, blocks, count, parameters["summary_scale"])),
            segments=_by_block(jax.ops.segment_max, segments, blocks, count),
        )

        def summary_bias(blocks):
            distance = blocks[:, :, None] - jnp.arange(count)
            bucket = relative_bucket(distance, bidirectional=True, buckets=self.buckets, max_distance=self.max_distance)
            return jnp.moveaxis(jnp.take(parameters["summary_bias"], bucket, axis=1), 0, 1)

        conditions = conditions.replace(
            query_segments=segments, key_segments=segments, query_positions=None, key_positions=None, prefix=None
        )
        out = attend_windows(query, key, value, conditions, self.window, blocks, summaries, summary_bias)
        return out, None


@flax.struct.dataclass
class Summaries:
    """Keys and values [b g h k] of the blocks, and their segments int32 [b g], 0 or less where there is no block."""

    key: jax.Array
    value: jax.Array
    segments: jax.Array


def blocks_of(segments: jax.Array, block: int) -> jax.Array:
    """The block of each position: segments int [b n] → int32 [b n], −1 where it is in none.

    Blocks count through the row. Of each document only whole ones count, and what follows the last belongs to it.
    """
    index = jnp.arange(segments.shape[1], dtype=jnp.int32)
    within = positions_in_documents(segments)
    real, place = segments > 0, within % block
    ended = jnp.cumsum(real & (place == block - 1), axis=1, dtype=jnp.int32)  # blocks that end here or before
    end = index + block - 1 - place
    at_end = jnp.take_along_axis(segments, jnp.minimum(end, len(index) - 1), axis=1)
    whole = (end < len(index)) & (at_end == segments)
    before = ended - (place == block - 1)
    return jnp.where(real & (whole | (within >= block)), before - ~whole, -1)


def summarise(inputs: jax.Array, blocks: jax.Array, count: int, scale: jax.Array) -> jax.Array:
    """The sum of each block's inputs [b n d], through an RMS norm with a scale [d] → [b g d], g = `count`."""
    sums = _by_block(jax.ops.segment_sum, inputs.astype(jnp.float32), blocks, count)
    norm = jax.lax.rsqrt(jnp.square(sums).mean(-1, keepdims=True) + EPSILON)
    return (sums * norm * scale).astype(inputs.dtype)


def attend_windows(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    conditions: Conditions,
    window: int,
    blocks: jax.Array,
    summaries: Summaries,
    summary_bias: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """Attention of each position [b n h k] to those less than `window` away and to all summaries of its segment.

    `window` queries at a time are computed against as many keys on both sides, and themselves.

    Args:
      conditions: bias (of the window's keys), segments, scale and dropout. Dropout over queries has one mask for the
        queries that are computed together.
      blocks: int32 [b n], the block of each query.
      summary_bias: of the blocks of some queries: [b q] → [b h q g].
    """
    bias, segments = conditions.bias, conditions.query_segments
    if bias is not None and not callable(bias):
        bias = _bias_windows(bias, query.shape[1], window)
    distance = np.arange(window)[:, None] - (np.arange(3 * window) - window)[None]
    far = np.where(abs(distance) < window, 0.0, FAR).astype(np.float32)[None, None]

    def tile(index, query, of_query, blocks, key, value, of_key, bias):
        if callable(conditions.bias):
            first = index * window
            bias = conditions.bias(first + jnp.arange(window)[None], first - window + jnp.arange(3 * window)[None])
        bias = far if bias is None else bias + far
        more = summary_bias(blocks)
        bias = jnp.concatenate(
            [jnp.broadcast_to(bias, (*more.shape[:3], 3 * window)), more.astype(bias.dtype)], axis=-1
        )
        dropout_key = conditions.dropout_key
        if dropout_key is not None and not conditions.dropout_over_queries:
            dropout_key = jax.random.fold_in(dropout_key, index)
        here = conditions.replace(
            bias=bias,
            query_segments=of_query,
            key_segments=jnp.concatenate([of_key, summaries.segments], axis=1),
            dropout_key=dropout_key,
        )
        key, value = (jnp.concatenate(pair, axis=1) for pair in ((key, summaries.key), (value, summaries.value)))
        return attend(query, key, value, **here.keywords())

    of_queries = [split(x, window) for x in (query, segments, blocks)]
    of_keys = [_windows(x, window) for x in (key, value, segments)]
    index = jnp.arange(len(of_queries[0]), dtype=jnp.int32)
    body = jax.checkpoint(lambda xs: tile(*xs), prevent_cse=False)
    tiles = (index, *of_queries, *of_keys, None if callable(bias) else bias)
    return join(jax.lax.map(body, tiles), query.shape[1])


def _windows(x: jax.Array, window: int) -> jax.Array:
    """[b n …] → [tiles b 3·window …]: each tile of `window` positions between its neighbours, zeros beyond the row."""
    x = split(x, window)
    x = jnp.pad(x, [(1, 1)] + [(0, 0)] * (x.ndim - 1))
    return jnp.concatenate([x[:-2], x[1:-1], x[2:]], axis=2)


def _bias_windows(bias: jax.Array, n: int, window: int) -> jax.Array:
    """An array broadcastable to [b h n n] → [tiles b h window 3·window], in the manner of `_windows`."""
    tiles, missing = -(-n // window), -n % window
    bias = jnp.broadcast_to(bias, (*bias.shape[:2], n, n))
    bias = jnp.pad(bias, [(0, 0), (0, 0), (0, missing), (window, missing + window)])
    starts = [i * window for i in range(tiles)]
    return jnp.stack([bias[:, :, i : i + window, i : i + 3 * window] for i in starts])


def _by_block(reduce: Callable, x: jax.Array, blocks: jax.Array, count: int) -> jax.Array:
    """Reduces [b n …] over the positions of each block → [b count …]."""
    blocks = jnp.where(blocks >= 0, blocks, count)  # one more, for what is in none
    return jax.vmap(lambda x, i: reduce(x, i, num_segments=count + 1))(x, blocks)[:, :count]
