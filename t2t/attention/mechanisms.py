"""All mechanisms by which positions exchange information, by name. There is no registration: this table is the list."""

import dataclasses
from typing import Literal

from t2t.attention.cache import KVCache
from t2t.attention.dense import attend
from t2t.attention.mechanism import Mechanism


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
        if state is not None and callable(conditions.bias):
            bias = conditions.bias(conditions.query_positions, conditions.key_positions)
            conditions = conditions.replace(bias=bias)
        return attend(query, key, value, **conditions.keywords()), state


AttentionConfig = Dense
MECHANISMS: dict[str, type] = {"dense": Dense}
