"""A memory whose oldest part is compressed rather than forgotten (Compressive Transformer, Rae et al. 2020)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.mechanism import Conditions, Parameter, Sizes, Source
from t2t.attention.memories import HiddenMemory, KeyValueMemory, newest
from t2t.attention.named import bidirectional
from t2t.attention.recurrent import Recurrent
from t2t.attention.relative import Part, attend_parts

Compress = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # [b e·rate d], segments → [b e d], segments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compressive(Recurrent):
    """The Compressive Transformer (Rae et al. 2020): Transformer-XL, whose oldest memories are compressed.

    What leaves the memory is compressed in blocks, and the newest of these are kept (section 3.1). Their distances go
    on from the memory's, one for each. A block in which a document ends is of the document after it.

    A convolution learns from the attention-reconstruction loss alone (section 3.2, algorithm 2), whose gradient reaches
    nothing else: the mean square of the difference between what the segment's queries get, by content alone, from what
    leaves the memory and from what it is compressed to. The memory of training carries it as `loss`.

    Attributes:
      memory, tied, clamp: see `Recurrent`.
      compressed: how many compressed positions are kept.
      rate: how many positions are compressed to one. Segments of training are multiples of it.
      compression: "convolution", whose stride is its width, or "mean", which learns nothing.
    """

    name: Literal["compressive"] = "compressive"
    compressed: int
    rate: int
    compression: Literal["convolution", "mean"] = "convolution"

    def __post_init__(self):
        super().__post_init__()
        for field in ("compressed", "rate"):
            if getattr(self, field) < 1:
                raise ValueError(f"Compressive.{field}: expected at least 1, found {getattr(self, field)}.")
        if self.memory < self.rate:
            raise ValueError(f"Compressive.memory: expected at least rate {self.rate}, found {self.memory}.")

    def parameters(self, sizes):
        own, d = super().parameters(sizes), sizes.width
        if self.compression == "convolution":
            own["compression"] = Parameter((self.rate, d, d), (None, "embed", None), std=(self.rate * d) ** -0.5)
            own["compression_bias"] = Parameter((d,), (None,))
        return own

    @property
    def before(self):
        return self.memory + self.compressed

    def flops(self, n, m, sizes, *, causal):
        made, inner = n / self.rate, sizes.heads * sizes.head_width
        learned = 2.0 * n * sizes.width**2 + inner * (4.0 * n * (n + made) + 4.0 * sizes.width * made)
        return super().flops(n, m, sizes, causal=causal) + (learned if self.compression == "convolution" else 0.0)

    def init_state(self, batch, length, sizes, dtype):
        return CompressedKeyValues.empty(batch, self.memory, sizes, dtype, self.compressed, self.rate)

    def init_memory(self, batch, sizes, dtype):
        return CompressedHidden.empty(batch, self.memory, sizes, dtype, self.compressed)

    def slots(self, state):
        return self.memory + (self.rate - 1 if isinstance(state, CompressedKeyValues) else 0)

    def remember(self, state, query, parts, conditions, parameters, source):
        compress, n = functools.partial(self.compress, parameters), query.shape[1]
        if isinstance(state, CompressedKeyValues):
            return state.write(parts[-1], source, compress, self.rate)
        if n % self.rate:
            raise ValueError(
                f"Compressive.rate: segments of training are multiples of it, found one of {n} and rate {self.rate}. "
                "Make data.targets_length a multiple of rate."
            )
        leaving = jax.lax.stop_gradient(jnp.concatenate([state.hidden, source.inputs], axis=1)[:, :n])
        segments = jnp.concatenate([state.segments, parts[-1].segments], axis=1)[:, :n]
        new, new_segments = compress(leaving, segments)
        loss = state.loss
        if self.compression != "mean":
            key, value = (
                jnp.concatenate([getattr(part, name) for part in parts[1:]], axis=axis)
                for name, axis in (("key", 3), ("value", 2))
            )
            left = Part(key[..., :n], value[:, :, :n], segments)
            loss = reconstruction(query, left, new, new_segments, conditions, source)
        return state.write(parts[-1], source).replace(
            compressed=newest(state.compressed, jax.lax.stop_gradient(new)),
            compressed_segments=newest(state.compressed_segments, new_segments),
            loss=loss,
        )

    def compress(
        self, parameters: Mapping[str, jax.Array], hidden: jax.Array, segments: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Hidden states [b e·rate d] and their segments → those of the e blocks. Other documents than that of a block's
        last position are left out."""
        b, _, d = hidden.shape
        hidden, segments = hidden.reshape(b, -1, self.rate, d), segments.reshape(b, -1, self.rate)
        of_block = segments[..., -1]
        real = ((segments == of_block[..., None]) & (segments > 0)).astype(hidden.dtype)[..., None]
        if self.compression == "mean":
            return (hidden * real).sum(2) / jnp.maximum(real.sum(2), 1), of_block
        return jnp.einsum("berd,rdc->bec", hidden * real, parameters["compression"]) + parameters[
            "compression_bias"
        ], of_block


def reconstruction(
    query: jax.Array, left: Part, new: jax.Array, segments: jax.Array, conditions: Conditions, source: Source
) -> jax.Array:
    """The attention-reconstruction loss, a float32 scalar whose gradient reaches only the new compressed states.

    Args:
      query: [b n h k], of the segment.
      left: the keys and values that leave the memory.
      new: [b e d], what they are compressed to, and its segments int32 [b e].
    """

    def seen(part):
        return attend_parts(
            jax.lax.stop_gradient(query),
            [part],
            pattern=bidirectional(),
            query_segments=conditions.query_segments,
            scale=conditions.scale,
        ).astype(jnp.float32)

    compressed = Part.of(*source.project(new, frozen=True), segments)
    return jnp.mean(jnp.square(jax.lax.stop_gradient(seen(left)) - seen(compressed)))


@flax.struct.dataclass
class CompressedHidden(HiddenMemory):
    """The memory of training.

    Attributes:
      compressed: [b c d], states before those of `hidden`, oldest first, each of `rate` of them.
      compressed_segments: int32 [b c].
    """

    compressed: jax.Array
    compressed_segments: jax.Array

    @classmethod
    def empty(cls, batch: int, length: int, sizes: Sizes, dtype: jnp.dtype, compressed: int) -> "CompressedHidden":
        older = HiddenMemory.empty(batch, compressed, sizes, dtype)
        recent = HiddenMemory.empty(batch, length, sizes, dtype)
        return cls(recent.hidden, recent.segments, recent.loss, older.hidden, older.segments)

    def read(self, conditions, source):
        (recent,) = super().read(conditions, source)
        key, value = source.project(jax.lax.stop_gradient(self.compressed))
        first = recent.first - self.compressed.shape[1]
        return [Part.of(key, value, self.compressed_segments, first=first), recent]


@flax.struct.dataclass(kw_only=True)
class CompressedKeyValues(KeyValueMemory):
    """The memory of evaluation and decoding, whose segments may have any length.

    Blocks are compressed when they are whole, so that the ring has room for the beginning of one besides the memory.

    Attributes:
      hidden: [b m d], what the keys and values of the ring were projected from.
      stale: int32 scalar, how many of the oldest slots of the ring have been compressed already.
      compressed_key, compressed_value: [b h k c], [b h c k], oldest first.
      compressed_segments: int32 [b c].
    """

    hidden: jax.Array
    stale: jax.Array
    compressed_key: jax.Array
    compressed_value: jax.Array
    compressed_segments: jax.Array

    @classmethod
    def empty(
        cls, batch: int, length: int, sizes: Sizes, dtype: jnp.dtype, compressed: int, rate: int
    ) -> "CompressedKeyValues":
        ring = KeyValueMemory.empty(batch, length + rate - 1, sizes, dtype)
        older = KeyValueMemory.empty(batch, compressed, sizes, dtype)
        return cls(
            key=ring.key,
            value=ring.value,
            segments=ring.segments,
            index=ring.index,
            hidden=jnp.zeros((batch, length + rate - 1, sizes.width), dtype),
            stale=jnp.full((), rate - 1, jnp.int32),
            compressed_key=older.key,
            compressed_value=older.value,
            compressed_segments=older.segments,
        )

    def read(self, conditions, source):
        (ring,) = super().read(conditions, source)
        oldest = ring.first + self.stale
        ring = dataclasses.replace(ring, segments=jnp.where(ring.positions >= oldest, self.segments, 0))
        first = oldest - self.compressed_segments.shape[1]
        return [Part(self.compressed_key, self.compressed_value, self.compressed_segments, first=first), ring]

    def write(self, own: Part, source: Source, compress: Compress, rate: int) -> "CompressedKeyValues":
        """The memory after a segment. Of the blocks that may have become whole all are made, and then as many taken as
        are."""
        m, n = self.segments.shape[1], own.segments.shape[1]
        most, whole = -(-n // rate), (rate - 1 - self.stale + n) // rate
        order = self.stale + jnp.arange(most * rate)  # in time, the ring before the segment

        def leaving(ring, segment):
            shape = (1, -1) + (1,) * (ring.ndim - 2)
            kept, more = (
                jnp.take(ring, (self.index + order) % m, axis=1),
                jnp.take(segment, jnp.clip(order - m, 0, n - 1), axis=1),
            )
            return jnp.where((order < m).reshape(shape), kept, more.astype(ring.dtype))

        new, segments = compress(leaving(self.hidden, source.inputs), leaving(self.segments, own.segments))
        new = Part.of(*source.project(new), segments)

        def add(kept, more, axis):
            both = jnp.concatenate([kept, more.astype(kept.dtype)], axis=axis)
            return jax.lax.dynamic_slice_in_dim(both, whole, kept.shape[axis], axis=axis)

        return (
            super()
            .write(own, source)
            .replace(
                hidden=self.hidden.at[:, self.slots(n)].set(source.inputs[:, -m:].astype(self.hidden.dtype)),
                stale=self.stale - n + whole * rate,
                compressed_key=add(self.compressed_key, new.key, 3),
                compressed_value=add(self.compressed_value, new.value, 2),
                compressed_segments=add(self.compressed_segments, segments, 1),
            )
        )
