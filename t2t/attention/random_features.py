"""Linear attention by positive orthogonal random features (Performer, FAVOR+; Choromanski et al. 2021).

exp(q·k) is the mean over features f of exp(w_f·q − |q|²/2) exp(w_f·k − |k|²/2) with w_f normal (lemma 1), so that keys
and values enter only through sums over positions, and attention takes time linear in length. What is computed is

    out_i = Σ_j a_ij v_j / Σ_j a_ij,     a_ij = Σ_f exp(w_f·q_i) exp(w_f·k_j − |k_j|²/2)

over the keys j that query i may see; q and k carry the square root of the logits' scale each.
"""

import dataclasses
import functools
import math
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.chunks import join, map_chunks, split
from t2t.attention.documents import spoil_beyond
from t2t.attention.mechanism import Mechanism
from t2t.attention.named import bidirectional, causal
from t2t.attention.products import wide_einsum

CHUNK = 128  # positions of causal attention that meet pair by pair; what is before them has been summed
BLOCK = 512  # positions whose features are in memory at once, where nothing is causal
LOWEST = -1e30  # the exponent of a key that is not there: finite, so that differences of two are never NaN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Performer(Mechanism):
    """Performer (Choromanski et al. 2021): softmax attention estimated in linear time, bidirectional or causal.

    Causality follows the order in the row. Incremental decoding keeps sums of a size that does not depend on length.

    Attributes:
      features: random features; the error of the estimate falls with the square root of their number.
      seed: of the features, which are drawn once for a head width and not learned: a checkpoint keeps its meaning
        only with the seed and the number it was trained with.
      documents: how many packed documents (segments 1 … documents) a row of bidirectional or cross-attention may hold;
        time grows with their number, and outputs in a segment beyond it are NaN. Causal attention has no such limit.
    """

    name: Literal["performer"] = "performer"
    features: int = 256
    seed: int = 0
    documents: int = 1

    def __post_init__(self):
        for field in ("features", "documents"):
            if getattr(self, field) < 1:
                raise ValueError(f"Performer.{field}: expected at least 1, found {getattr(self, field)}.")

    def check(self, *, causal, cross, positions):
        if positions == "relative_bias" and not cross:
            raise ValueError(
                "Performer: no logits are computed that a bias could be added to, found positions 'relative_bias'. "
                "Use positions 'rotary', 'learned' or 'sinusoidal', or Dense()."
            )

    def flops(self, n, m, sizes, *, causal):
        return 4.0 * sizes.heads * sizes.head_width * self.features * (n + m)  # the features, and the sums over them

    def init_state(self, batch, length, sizes, dtype):
        return Sums.empty(batch, sizes.heads, self.features, sizes.head_width)

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        if conditions.pattern not in (bidirectional(), causal()):
            raise ValueError(
                f"Performer: keys are summed, so that a query sees all of them or all up to it, found pattern "
                f"{conditions.pattern!r}. Use a sparse mechanism, or Dense()."
            )
        for field, what in (("bias", "a bias on the logits"), ("prefix", "a prefix that sees itself both ways")):
            if getattr(conditions, field) is not None:
                raise ValueError(f"Performer: {what} is not defined where keys are summed. Use Dense().")
        if conditions.dropout_rate > 0.0:
            raise ValueError(
                "Performer: there are no attention weights to drop, found a dropout rate of "
                f"{conditions.dropout_rate}. Set attention_dropout to 0."
            )
        scale = 1.0 / math.sqrt(query.shape[-1]) if conditions.scale is None else conditions.scale
        matrix = jnp.asarray(random_matrix(self.features, query.shape[-1], self.seed) * np.float32(math.sqrt(scale)))
        segments = conditions.query_segments, conditions.key_segments
        if segments[0] is None:
            segments = tuple(jnp.ones(x.shape[:2], jnp.int32) for x in (query, key))
        if state is not None or conditions.pattern == causal():
            sums = Sums.empty(*query.shape[:1], query.shape[2], *matrix.shape) if state is None else state
            out, sums = attend_causal(query, key, value, segments[1], sums, matrix=matrix, scale=scale)
            return out, None if state is None else sums
        out = attend_documents(query, key, value, *segments, matrix=matrix, scale=scale, documents=self.documents)
        return spoil_beyond(out, conditions.query_segments, self.documents), None


@functools.lru_cache(maxsize=64)
def random_matrix(features: int, width: int, seed: int) -> np.ndarray:
    """The rows w_f, float32 [features width]: orthogonal within each block of `width` rows, every row with the length
    of a normal vector of its own (section 2.4). The legacy generator, because its stream is fixed for ever."""
    generator = np.random.RandomState(seed)
    blocks = []
    for _ in range(-(-features // width)):
        q, r = np.linalg.qr(generator.standard_normal((width, width)))
        blocks.append((q * np.sign(np.diag(r))).T)
    lengths = np.linalg.norm(generator.standard_normal((features, width)), axis=1)
    return (np.concatenate(blocks)[:features] * lengths[:, None]).astype(np.float32)


@flax.struct.dataclass
class Sums:
    """Sums over some keys of one document, every feature scaled by its greatest term, so that none under- or overflows.

    Attributes:
      value: float32 [b h f k], Σ_j exp(x_jf − largest_f) v_j, where x_jf = w_f·k_j − |k_j|²/2.
      weight: float32 [b h f], Σ_j exp(x_jf − largest_f).
      largest: float32 [b h f], the greatest x_jf.
      segment: int32 [b], the document; 0 before the first.
    """

    value: jax.Array
    weight: jax.Array
    largest: jax.Array
    segment: jax.Array

    @classmethod
    def empty(cls, batch: int, heads: int, features: int, head_width: int) -> "Sums":
        """Of no keys."""
        return cls(
            value=jnp.zeros((batch, heads, features, head_width), jnp.float32),
            weight=jnp.zeros((batch, heads, features), jnp.float32),
            largest=jnp.full((batch, heads, features), LOWEST, jnp.float32),
            segment=jnp.zeros((batch,), jnp.int32),
        )

    @classmethod
    def of(cls, exponents: jax.Array, value: jax.Array, segments: jax.Array, segment: jax.Array) -> "Sums":
        """Of the keys [b m h f] and values [b m h k] whose segments [b m] are that of the row [b]."""
        inside = ((segments == segment[:, None]) & (segments > 0))[:, :, None, None]
        largest = jax.lax.stop_gradient(jnp.where(inside, exponents, LOWEST).max(1))
        terms = jnp.exp(jnp.where(inside, exponents - largest[:, None], LOWEST))
        return cls(
            value=_product("bmhf,bmhk->bhfk", terms, value), weight=terms.sum(1), largest=largest, segment=segment
        )

    def add(self, other: "Sums") -> "Sums":
        """Of the keys of both; of the other's alone in rows where it is another document's."""
        same = (self.segment == other.segment)[:, None, None]
        largest = jnp.maximum(jnp.where(same, self.largest, LOWEST), other.largest)
        mine, its = jnp.where(same, jnp.exp(self.largest - largest), 0.0), jnp.exp(other.largest - largest)
        return Sums(
            value=self.value * mine[..., None] + other.value * its[..., None],
            weight=self.weight * mine + other.weight * its,
            largest=largest,
            segment=other.segment,
        )


def exponents(x: jax.Array, matrix: jax.Array, scale: float = 0.0) -> jax.Array:
    """w_f·x − scale |x|²/2: [b n h k] → float32 [b n h f]. A query needs no scale: what all its features have in common
    cancels."""
    x = x.astype(jnp.float32)
    return jnp.einsum("bnhk,fk->bnhf", x, matrix) - 0.5 * scale * jnp.square(x).sum(-1, keepdims=True)


def attend_documents(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    query_segments: jax.Array,
    key_segments: jax.Array,
    *,
    matrix: jax.Array,
    scale: float,
    documents: int,
) -> jax.Array:
    """Bidirectional and cross-attention: each query [b n h k] sees all keys [b m h k] of its segment, 1 … documents.

    Args:
      matrix: float32 [f k], the random features times the square root of the scale.

    Returns:
      [b n h k] in the dtype of `value`; 0 in other segments.
    """
    b, _, h, k = key.shape

    def one(number):
        segment = jnp.full((b,), number, jnp.int32)

        @functools.partial(jax.checkpoint, prevent_cse=False)
        def sums_of(key, value, segments):
            return Sums.of(exponents(key, matrix, scale), value, segments, segment)

        start = Sums.empty(b, h, len(matrix), k).replace(segment=segment)
        blocks = tuple(split(x, BLOCK) for x in (key, value, key_segments))
        sums, _ = jax.lax.scan(lambda sums, block: (sums.add(sums_of(*block)), None), start, blocks)

        def read(_, block):
            query, segments = block
            far = exponents(query, matrix) + sums.largest[:, None]
            far = jnp.exp(far - jax.lax.stop_gradient(far.max(-1, keepdims=True)))
            found = _ratio(_product("bnhf,bhfk->bnhk", far, sums.value), jnp.einsum("bnhf,bhf->bnh", far, sums.weight))
            return jnp.where((segments == number)[:, :, None, None], found, 0.0)

        return map_chunks(read, BLOCK, (query, query_segments))

    if documents == 1:
        return one(1).astype(value.dtype)
    body = jax.checkpoint(one, prevent_cse=False)
    zeros, numbers = jnp.zeros(query.shape, jnp.float32), jnp.arange(1, documents + 1, dtype=jnp.int32)
    return jax.lax.scan(lambda out, number: (out + body(number), None), zeros, numbers)[0].astype(value.dtype)


def attend_causal(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segments: jax.Array,
    sums: Sums,
    *,
    matrix: jax.Array,
    scale: float,
) -> tuple[jax.Array, Sums]:
    """Each position [b n h k] sees itself and those of its segment before it, of which some are in the sums already.

    Returns:
      [b n h k] in the dtype of `value`, and the sums over the last document so far.
    """
    n = query.shape[1]

    def chunk(sums, block):
        out, sums = attend_chunk(*block, sums, matrix=matrix, scale=scale)
        return sums, out

    size = min(CHUNK, n)
    blocks = tuple(split(x, size) for x in (query, key, value, segments))
    sums, out = jax.lax.scan(jax.checkpoint(chunk, prevent_cse=False), sums, blocks)
    return join(out, n).astype(value.dtype), sums


def attend_chunk(query, key, value, segments, sums, *, matrix, scale) -> tuple[jax.Array, Sums]:
    """`attend_causal` for a few positions [b c h k], which meet each other pair by pair."""
    stop, c = jax.lax.stop_gradient, query.shape[1]
    of_query, of_key = exponents(query, matrix), exponents(key, matrix, scale)
    of_query = of_query - stop(of_query.max(-1, keepdims=True))
    # Keys differ in how great their terms are, and what a query does not see must not decide the scale of what it sees:
    # the greatest term of each key is taken out of the product over features, and put back pair by pair.
    greatest = stop(of_key.max(-1))  # [b c h]
    pairs = jnp.einsum("bihf,bjhf->bhij", jnp.exp(of_query), jnp.exp(of_key - greatest[..., None]))
    met = (segments[:, :, None] == segments[:, None, :]) & (segments > 0)[:, None, :] & np.tri(c, dtype=bool)
    met = met[:, None]  # [b 1 i j]
    near = jnp.where(met, jnp.moveaxis(greatest, 1, 2)[:, :, None], LOWEST)
    follows = ((segments == sums.segment[:, None]) & (segments > 0))[:, :, None, None]
    far = jnp.where(follows, of_query + sums.largest[:, None], LOWEST)  # [b i h f]
    top = stop(jnp.maximum(near.max(-1), jnp.moveaxis(far.max(-1), 1, 2)))  # [b h i]
    near = jnp.where(met, pairs * jnp.exp(near - top[..., None]), 0.0)
    far = jnp.where(follows, jnp.exp(far - jnp.moveaxis(top, 1, 2)[..., None]), 0.0)
    out = _ratio(
        _product("bhij,bjhk->bihk", near, value) + _product("bihf,bhfk->bihk", far, sums.value),
        jnp.moveaxis(near.sum(-1), 1, 2) + jnp.einsum("bihf,bhf->bih", far, sums.weight),
    )
    last = c - 1 - jnp.argmax(segments[:, ::-1] > 0, axis=1)  # the last that is real, if any is
    segment = jnp.where((segments > 0).any(1), jnp.take_along_axis(segments, last[:, None], axis=1)[:, 0], sums.segment)
    return out, sums.add(Sums.of(of_key, value, segments, segment))


def _product(formula: str, weights: jax.Array, values: jax.Array) -> jax.Array:
    """A product of weights in [0, 1] with values, in the dtype of the values and with float32 sums."""
    return wide_einsum(formula, weights.astype(values.dtype), values)


def _ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """[b n h k] / [b n h], 0 where the denominator is: where a query sees no key."""
    return numerator / jnp.where(denominator > 0, denominator, 1.0)[..., None]
