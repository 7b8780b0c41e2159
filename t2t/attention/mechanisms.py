"""All mechanisms by which positions exchange information, by name. There is no registration: this table is the list."""

import dataclasses
import typing
from typing import Literal

import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.cache import KVCache
from t2t.attention.compressive import Compressive
from t2t.attention.disentangled import Disentangled
from t2t.attention.low_rank import Linformer
from t2t.attention.mechanism import Mechanism
from t2t.attention.random_features import Performer
from t2t.attention.recurrent import TransformerXL
from t2t.attention.sparse import Sparse
from t2t.attention.transient_global import TransientGlobal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Mechanism):
    """Exact attention over every pair that the architecture allows (Vaswani et al. 2017)."""

    name: Literal["dense"] = "dense"

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
        return attend(query, key, value, **conditions.keywords()), state


AttentionConfig = Dense | Sparse | TransformerXL | Linformer | Performer | TransientGlobal | Compressive | Disentangled
MECHANISMS: dict[str, type] = {
    typing.get_args(typing.get_type_hints(mechanism)["name"])[0]: mechanism
    for mechanism in typing.get_args(AttentionConfig)
}
