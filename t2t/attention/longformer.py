"""Longformer's attention (Beltagy et al. 2020, section 3): a window, and a few tokens that see and are seen by all.

Which tokens these are is an array of the batch. Their own attention has queries, keys and values of its own
(section 3.1, "linear projections for global attention"); all others see them as they see their neighbours, in one
softmax.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.documents import positions_in_documents
from t2t.attention.kernels.tiles import MASKED
from t2t.attention.masked import attend_masked
from t2t.attention.mechanism import Conditions, Mechanism, Parameter
from t2t.attention.named import bidirectional, local
from t2t.attention.windows import Everywhere, attend_windows

ROLES = ("query", "key", "value")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Longformer(Mechanism):
    """Longformer's attention of encoders, at O(n (window + the global tokens)).

    `conditions.global_tokens` says which tokens are global; a row may have any number of them. Up to `most` they are
    gathered, so that they cost no more than a wider window; beyond it every pair of the batch is computed.

    Attributes:
      window: a query sees the keys less than `window` positions away: half of the published `attention_window`, + 1.
      first: so many tokens at the beginning of each document are global where nothing says which are.
      most: global tokens of a row that are gathered.
    """

    name: Literal["longformer"] = "longformer"
    window: int = 257
    first: int = 0
    most: int = 64

    def __post_init__(self):
        for field, least in (("window", 1), ("first", 0), ("most", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"Longformer.{field}: expected at least {least}, found {getattr(self, field)}.")

    def check(self, *, causal, cross, positions):
        if causal or cross:
            raise ValueError(
                "Longformer: global tokens see what comes after them in their own row, found "
                f"{'cross-attention' if cross else 'causal self-attention'}. Use Dense(), or in decoders a causal "
                "pattern such as Sparse(pattern='local(256)')."
            )
        if positions in ("rotary", "relative_bias"):
            raise ValueError(
                f"Longformer: its global attention knows no distances, found positions '{positions}'. Use positions "
                "'learned' or 'sinusoidal', or Sparse(pattern='local(256) | global_tokens(1)')."
            )

    def parameters(self, sizes):
        d, h, k = sizes.width, sizes.heads, sizes.head_width
        kernel = Parameter((d, h, k), ("embed", "heads", "kv"), std=0.02)
        bias = Parameter((h, k), ("heads", "kv"))
        found = {f"global_{role}_kernel": kernel for role in ROLES}
        return found | {f"global_{role}_bias": bias for role in ROLES}

    def flops(self, n, m, sizes, *, causal):
        return 4.0 * sizes.heads * sizes.head_width * local(self.window).cost(n, m).pairs

    def init_state(self, batch, length, sizes, dtype):
        raise ValueError("Longformer has no incremental decoding: it is for encoders. Use Sparse() in decoders.")

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        self._refuse(query, key, conditions, source)
        segments = conditions.key_segments
        if segments is None:
            segments = jnp.ones(key.shape[:2], jnp.int32)
        marked = conditions.global_tokens
        if marked is None:
            marked = positions_in_documents(segments) < self.first
        marked = (marked != 0) & (segments > 0)
        around = conditions.replace(
            query_segments=segments, key_segments=segments, query_positions=None, key_positions=None,
            prefix=None, global_tokens=None,
        )  # fmt: skip
        window, most = min(self.window, key.shape[1]), min(self.most, key.shape[1])

        def project(role, x):
            kernel, bias = parameters[f"global_{role}_kernel"], parameters[f"global_{role}_bias"]
            return jnp.einsum("bnd,dhk->bnhk", x, kernel) + bias

        def of_global(inputs, of_inputs):
            """The attention of global tokens with inputs [b g d] to all of their segments."""
            here = around.replace(query_segments=of_inputs)
            made = project("query", inputs), project("key", source.inputs), project("value", source.inputs)
            return attend(*made, **here.keywords())

        def none():
            return attend(query, key, value, **around.replace(pattern=local(window)).keywords())

        def few():
            at, there = places(marked, most)
            of_tokens = jnp.where(there, jnp.take_along_axis(segments, at, axis=1), 0)
            keys, values = (jnp.take_along_axis(x, at[..., None, None], axis=1) for x in (key, value))
            others = around.replace(key_segments=jnp.where(marked, 0, segments))
            out = attend_windows(query, key, value, others, window, Everywhere(keys, values, of_tokens))
            inputs = jnp.take_along_axis(source.inputs, at[..., None], axis=1)
            at = jnp.where(there, at, key.shape[1])  # beyond the row, where nothing is put
            return out.at[jnp.arange(len(at))[:, None], at].set(of_global(inputs, of_tokens), mode="drop")

        def many():
            index = jnp.broadcast_to(jnp.arange(key.shape[1]), segments.shape)

            def bias(index):
                near = abs(index[:, :, None] - jnp.arange(key.shape[1])) < window
                return jnp.where(near | marked[:, None], 0.0, MASKED)[:, None]

            out = attend_masked(query, key, value, around, index, bias)
            return jnp.where(marked[:, :, None, None], of_global(source.inputs, segments), out)

        count = marked.sum(1).max()
        ways = [none, few, many] if most < key.shape[1] else [none, few]
        return jax.lax.switch((count > 0).astype(jnp.int32) + (count > most), ways), None

    def _refuse(self, query, key, conditions: Conditions, source) -> None:
        if conditions.pattern != bidirectional():
            raise ValueError(
                f"Longformer: global tokens see all of their row, found pattern {conditions.pattern!r}. Use Dense() or "
                "a sparse pattern where not everyone may see everyone."
            )
        if source is None or query.shape[1] != key.shape[1]:
            raise ValueError(
                "Longformer: global tokens project the inputs of their own row again, found keys without them, as in "
                "cross-attention. Use Dense() there."
            )
        if conditions.bias is not None:
            raise ValueError("Longformer: its global attention knows no bias. Use Dense() or Sparse() with one.")


def places(marked: jax.Array, most: int) -> tuple[jax.Array, jax.Array]:
    """Where the first `most` marked positions of each row [b n] stand, int32 [b most], and which of them there are."""
    order = jnp.arange(1, most + 1)[:, None]
    at = (jnp.cumsum(marked, axis=1, dtype=jnp.int32)[:, None] < order).sum(-1)
    there = at < marked.shape[1]
    return jnp.where(there, at, 0), there
