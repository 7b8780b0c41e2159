"""Low-rank attention: queries meet a fixed number of mixtures of the keys (Linformer, Wang et al. 2020).

Equation 7: softmax(Q (E K)ᵀ / sqrt(k)) (F V), with E and F [rank length]. Time and memory are O(n rank).
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.documents import document, spoil_beyond
from t2t.attention.mechanism import Mechanism, Parameter
from t2t.attention.named import bidirectional
from t2t.attention.products import wide_einsum

Projector = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linformer(Mechanism):
    """Linformer (Wang et al. 2020, section 4): attention to `rank` slots, each a mixture of all positions.

    A position is mixed by where it stands in its document; padding and other documents are left out before the
    mixing. Bidirectional: a slot mixes all positions, so that nothing can hide the future.

    Attributes:
      rank: how many slots a document has (the paper's k).
      length: the longest row that E and F cover. Shorter ones use the first columns.
      sharing: of E and F. "none": for each head and layer; "head": for each layer; "key_value": one E = F for each
        layer; "layer": one E = F for the whole stack. Says nothing of mean pooling, which learns nothing.
      projection: "learned": E and F are matrices. "mean" and "convolution": a slot is a window of length / rank
        positions, its mean over those that are real, or their sum weighted by position and feature (a depthwise
        convolution whose stride is its width; it begins as the mean). Windows do not depend on the length of a row: one
        longer than `length` has more slots. Windows without a real position are not seen; a learned slot always is.
      documents: how many packed documents a row may hold (segments 1 … documents). Each has its own slots, and time
        grows with their number. Outputs in a segment beyond it are NaN.
    """

    name: Literal["linformer"] = "linformer"
    rank: int
    length: int
    sharing: Literal["none", "head", "key_value", "layer"] = "none"
    projection: Literal["learned", "mean", "convolution"] = "learned"
    documents: int = 1

    def __post_init__(self):
        for field in ("rank", "length", "documents"):
            if getattr(self, field) < 1:
                raise ValueError(f"Linformer.{field}: expected at least 1, found {getattr(self, field)}.")
        if self.rank > self.length:
            raise ValueError(
                f"Linformer.rank: expected at most length {self.length}, found {self.rank}: more slots than positions "
                "save nothing. Lower rank, or use Dense()."
            )
        if self.projection != "learned" and self.length % self.rank:
            raise ValueError(
                f"Linformer.rank: projection '{self.projection}' has windows of length / rank positions, found length "
                f"{self.length} and rank {self.rank}: choose a rank that divides length."
            )

    def check(self, *, causal, cross, positions):
        if causal:
            raise ValueError(
                "Linformer: every slot mixes all positions, so that a causal decoder would see the future. Use "
                "Dense(), Performer(features=…) or a causal pattern for decoders; Linformer is for encoders and "
                "cross-attention."
            )
        if positions == "relative_bias" and not cross:
            raise ValueError(
                "Linformer: a bias between pairs of positions does not survive the mixing of keys, found positions "
                "'relative_bias'. Use positions 'rotary', 'learned' or 'sinusoidal', or Dense()."
            )

    @property
    def window(self) -> int:
        """Positions in a slot of "mean" and "convolution"."""
        return self.length // self.rank

    def parameters(self, sizes):
        if self.projection == "mean":
            return {}
        heads = (sizes.heads,) if self.sharing == "none" else ()
        axes = ("heads",) if self.sharing == "none" else ()
        if self.projection == "learned":
            # The released code's Xavier initialisation with gain 1/sqrt(2): slots begin with the variance of keys.
            start = {"std": (self.length + self.rank) ** -0.5}
            shape, axes = (*heads, self.rank, self.length), (*axes, None, None)
        else:
            start = {"mean": 1 / self.window}
            shape, axes = (*heads, self.window, sizes.head_width), (*axes, None, "kv")
        matrix = Parameter(shape, axes, shared=self.sharing == "layer", **start)
        return {"E": matrix, "F": matrix} if self.sharing in ("none", "head") else {"E": matrix}

    def flops(self, n, m, sizes, *, causal):
        projected = m if self.projection == "learned" else 0
        return 4.0 * sizes.heads * sizes.head_width * self.rank * (n + projected)

    def init_state(self, batch, length, sizes, dtype):
        raise ValueError(
            "Linformer has no incremental decoding: its slots mix all positions. Use Dense(), Performer(features=…) or "
            "a causal pattern for decoders."
        )

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        if conditions.pattern != bidirectional():
            raise ValueError(
                f"Linformer: every slot mixes all positions, found pattern {conditions.pattern!r}. Use Dense(), "
                "Performer(features=…) or a sparse pattern where not everyone may see everyone."
            )
        if conditions.bias is not None:
            raise ValueError(
                "Linformer: a bias between pairs of positions does not survive the mixing of keys. Use rotary, learned "
                "or sinusoidal positions, or Dense()."
            )
        if self.projection == "learned" and key.shape[1] > self.length:
            raise ValueError(
                f"Linformer.length: E and F cover {self.length} positions, found a row of {key.shape[1]}. Shorten the "
                "rows, train with a greater length, or use projection 'mean' or 'convolution', which cover any."
            )
        segments = conditions.key_segments
        keys, values, slots = compress(key, value, segments, self.documents, self._projector(parameters or {}))
        conditions = conditions.replace(key_segments=slots, query_positions=None, key_positions=None, prefix=None)
        out = attend(query, keys, values, **conditions.keywords())
        return spoil_beyond(out, conditions.query_segments, self.documents), state

    def _projector(self, parameters: Mapping[str, jax.Array]) -> Projector:
        """How keys, values [b m h k] and booleans [b m] of the real ones become those of slots."""
        e = parameters.get("E")
        f = parameters.get("F", e)

        def project(key, value, real):
            if self.projection == "learned":
                every = jnp.broadcast_to(real.any(1, keepdims=True), (real.shape[0], self.rank))
                return mix(key, e), mix(value, f), every
            some = pool(real[..., None, None], self.window)[..., 0, 0] > 0
            if self.projection == "mean":
                mean = partial(pool_mean, real=real, window=self.window)
                return mean(key), mean(value), some
            return pool(key, self.window, e), pool(value, self.window, f), some

        return project


def mix(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """E x: [b m h k] → [b r h k], with the first m columns of a matrix [r length] or [h r length]."""
    matrix = matrix[..., : x.shape[1]]
    formula = "rm,bmhk->brhk" if matrix.ndim == 2 else "hrm,bmhk->brhk"
    return wide_einsum(formula, matrix, x).astype(x.dtype)


def pool(x: jax.Array, window: int, weights: jax.Array | None = None) -> jax.Array:
    """Sums over windows of positions: [b m h k] → [b ceil(m / window) h k], float32 where nothing weighs.

    Args:
      weights: of the positions and features of a window, [window k] or [h window k]; 1 where not given.
    """
    x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % window), (0, 0), (0, 0)))
    x = x.reshape(x.shape[0], -1, window, *x.shape[2:])
    if weights is None:
        return x.astype(jnp.float32).sum(2)
    formula = "brwhk,wk->brhk" if weights.ndim == 2 else "brwhk,hwk->brhk"
    return wide_einsum(formula, x, weights).astype(x.dtype)


def pool_mean(x: jax.Array, real: jax.Array, window: int) -> jax.Array:
    """Means over the real positions of windows: [b m h k] with zeros where not real, real [b or 1, m]."""
    count = pool(real[..., None, None], window)
    return (pool(x, window) / jnp.maximum(count, 1)).astype(x.dtype)


def compress(
    key: jax.Array, value: jax.Array, segments: jax.Array | None, documents: int, project: Projector
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Keys and values [b m h k] of positions → keys, values [b s h k] and segments int32 [b s] of slots.

    Each document of 1 … `documents` has its own slots, of segment 0 where there is nothing in them. Without segments a
    row is one document, and slots have none either.
    """
    if segments is None:
        keys, values, _ = project(key, value, jnp.ones((1, key.shape[1]), bool))
        return keys, values, None

    @partial(jax.checkpoint, prevent_cse=False)
    def one(number):
        (k, v), real = document((key, value), segments, number)
        keys, values, some = project(k, v, real)
        return keys, values, jnp.where(some, number, 0)

    if documents == 1:
        return one(1)
    found = jax.lax.map(one, jnp.arange(1, documents + 1, dtype=jnp.int32))  # [documents b r …]
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:]), found)
