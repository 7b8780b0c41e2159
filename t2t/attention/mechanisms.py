"""All mechanisms by which positions exchange information, by name. There is no registration: this table is the list."""

import dataclasses
import typing
from typing import Literal

import jax
import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.block_sparse import BigBird
from t2t.attention.cache import KVCache
from t2t.attention.compressive import Compressive
from t2t.attention.dense import allowed_pairs, reference
from t2t.attention.disentangled import Disentangled
from t2t.attention.longformer import Longformer
from t2t.attention.low_rank import Linformer
from t2t.attention.mechanism import Conditions, Mechanism
from t2t.attention.random_features import Performer
from t2t.attention.recurrent import TransformerXL
from t2t.attention.sparse import Sparse
from t2t.attention.transient_global import TransientGlobal
from t2t.attention.xlnet import XLNet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Mechanism):
    """Exact attention over every pair that the architecture allows (Vaswani et al. 2017)."""

    name: Literal["dense"] = "dense"

    @property
    def takes_masks(self):
        return True

    def init_state(self, batch, length, sizes, dtype):
        return KVCache.empty(batch, length, sizes.heads, sizes.head_width, dtype)

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        if state is not None:
            state = state.extend(key, value, conditions.key_segments, conditions.key_positions)
            key, value = state.key, state.value
            conditions = conditions.replace(key_segments=state.segments, key_positions=state.positions)
            if conditions.prefix is not None:  # of the first positions, and as wide as the keys
                room = key.shape[1] - conditions.prefix.shape[1]
                conditions = conditions.replace(prefix=jnp.pad(conditions.prefix, ((0, 0), (0, room))))
        if state is not None and callable(conditions.bias):
            bias = conditions.bias(conditions.query_positions, conditions.key_positions)
            conditions = conditions.replace(bias=bias)
        if conditions.mask is not None:
            return _masked(query, key, value, conditions), state
        return attend(query, key, value, **conditions.keywords()), state


def _masked(query: jax.Array, key: jax.Array, value: jax.Array, conditions: Conditions) -> jax.Array:
    """Attention where a mask of every pair says who may meet: it leaves nothing to be computed in tiles."""
    terms = ("pattern", "query_segments", "key_segments", "query_positions", "key_positions", "prefix")
    n, m = query.shape[1], key.shape[1]
    allowed, bias = allowed_pairs(n, m, **{t: getattr(conditions, t) for t in terms}), conditions.bias
    if callable(bias):
        bias = bias(conditions.query_positions, conditions.key_positions)
    rest = ("dropout_rate", "dropout_key", "dropout_over_queries")
    return reference(
        query,
        key,
        value,
        allowed=conditions.mask[:, None] if allowed is None else conditions.mask[:, None] & allowed,
        bias=bias,
        scale=key.shape[-1] ** -0.5 if conditions.scale is None else conditions.scale,
        **{term: getattr(conditions, term) for term in rest},
    )


AttentionConfig = (
    Dense
    | Sparse
    | TransformerXL
    | Linformer
    | Performer
    | TransientGlobal
    | Compressive
    | Disentangled
    | XLNet
    | Longformer
    | BigBird
)
MECHANISMS: dict[str, type] = {
    typing.get_args(typing.get_type_hints(mechanism)["name"])[0]: mechanism
    for mechanism in typing.get_args(AttentionConfig)
}
