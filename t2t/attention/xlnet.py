"""Relative attention in both directions, with a memory and kinds of tokens (XLNet, Yang et al. 2019).

The logit of a query i and a key j is (q_i + u)·k_j + (q_i + v)·(W_R R_{i−j}) + (q_i + w)·s, divided by sqrt(k): what
Transformer-XL has, for keys on either side, and s one of two vectors, for tokens of the same type and of different ones
(section 2.5). Who may look at whom is a mask: the order of a permutation, for example.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.kernels.tiles import MASKED
from t2t.attention.mechanism import Conditions, Parameter
from t2t.attention.memories import HiddenMemory
from t2t.attention.named import causal
from t2t.attention.products import wide_einsum
from t2t.attention.recurrent import Recurrent
from t2t.attention.relative import Window, encode_distances


@dataclasses.dataclass(frozen=True, kw_only=True)
class XLNet(Recurrent):
    """XLNet's attention (Yang et al. 2019), all logits at once.

    Every token sees itself, whatever the mask says, as published; so does padding.
    Queries beside those of the keys stand where `query_positions` say, and see what the mask lets them: the second
    stream (section 2.3). One that sees nothing gets 0, where the released code mixes all values, the target's among
    them.

    Attributes:
      memory, tied, clamp: see `Recurrent`. Distances are clamped on both sides. With memory 0 none is made, and what is
        given as one is seen.
      reuse: how many positions of a segment go into the memory, from its first; None for all.
      one_way: nothing later in the row is seen, whatever the mask says.
      same_length: with `one_way`, every token sees as many before it as the memory holds.
    """

    name: Literal["xlnet"] = "xlnet"
    reuse: int | None = None
    one_way: bool = False
    same_length: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.reuse is not None and self.reuse < 1:
            raise ValueError(f"XLNet.reuse: expected at least 1, or None for all, found {self.reuse}.")
        if self.same_length and not self.one_way:
            raise ValueError("XLNet.same_length is of one_way attention, found one_way False.")

    def check(self, *, causal, cross, positions):
        if cross:
            raise ValueError("XLNet: a memory is of what a stack has read itself, found cross-attention. Use Dense().")
        if positions != "none":
            raise ValueError(f"XLNet encodes positions by itself, found positions '{positions}': set them to 'none'.")

    @property
    def takes_masks(self):
        return True

    @property
    def kept(self):
        return self.memory or None

    def slots(self, state):
        return 0  # a memory may be as long as it was made

    def parameters(self, sizes):
        shape, axes = (sizes.heads, sizes.head_width), ("heads", "kv")
        return super().parameters(sizes) | {
            "w": Parameter(shape, axes, std=0.02, shared=self.tied),
            "types": Parameter((2, *shape), (None, *axes), std=0.02),  # the same, and different
        }

    def init_state(self, batch, length, sizes, dtype):
        return HiddenMemory.empty(batch, self.memory or length, sizes, dtype)

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        if conditions.bias is not None or conditions.prefix is not None:
            raise ValueError("XLNet: a bias or a prefix beside its own encoding and mask. Give a mask instead.")
        n, before = key.shape[1], 0
        if state is not None:
            self._check_memory(state, query.shape[0])
            before, source = state.segments.shape[1], source.of_layer()
            past = source.project(jax.lax.stop_gradient(state.hidden))
            key, value = (jnp.concatenate([old.astype(new.dtype), new], 1) for old, new in zip(past, (key, value)))
        places = jnp.arange(n)[None] if query.shape[1] == n else conditions.query_positions
        logits = self._logits(query, key, places[:, n:], n, before, conditions, parameters)
        allowed = self._allowed(places, n, state, conditions)
        weights = jax.nn.softmax(jnp.where(allowed, logits, MASKED), axis=-1)
        weights = jnp.where(allowed.any(-1, keepdims=True), weights, 0.0)
        if conditions.dropout_key is not None and conditions.dropout_rate:
            shape = (*weights.shape[:2], 1 if conditions.dropout_over_queries else weights.shape[2], weights.shape[3])
            keep = jax.random.bernoulli(conditions.dropout_key, 1.0 - conditions.dropout_rate, shape)
            weights = jnp.where(keep, weights / (1.0 - conditions.dropout_rate), 0.0)
        out = jnp.einsum("bhnm,bmhk->bnhk", weights.astype(value.dtype), value)
        if state is None:
            return out, None
        segments = jnp.ones(key.shape[:1] + (n,), jnp.int32) if conditions.key_segments is None else (
            conditions.key_segments
        )  # fmt: skip
        return out, state.extend(source.inputs[:, : self.reuse], segments[:, : self.reuse])

    def _logits(
        self,
        query: jax.Array,
        key: jax.Array,
        places: jax.Array,
        n: int,
        before: int,
        conditions: Conditions,
        parameters: dict[str, jax.Array],
    ) -> jax.Array:
        """float32 [b h n+p m], of n tokens and of p queries that stand at `places` [b p]."""
        m, scale = before + n, key.shape[-1] ** -0.5 if conditions.scale is None else conditions.scale
        query = jnp.moveaxis(query, 2, 1)

        def biased(name):
            return (query + parameters[name][:, None]) * jnp.asarray(scale, query.dtype)

        content = wide_einsum("bhnk,bmhk->bhnm", biased("u"), key)
        distances = np.arange(m - 1, -n - 1, -1)
        distances = distances if self.clamp is None else np.clip(distances, -self.clamp, self.clamp)
        table, placed = encode_distances(parameters["distance"], distances), biased("v")
        of_head = jax.vmap(lambda table, query: Window(table, 0, 0, m).logits(query))
        by_place = jax.vmap(of_head, in_axes=(None, 0))(table, placed[:, :, :n])
        if places.shape[1]:  # each takes the distances that it has
            every = wide_einsum("bhpk,hkr->bhpr", placed[:, :, n:], table)
            column = jnp.clip(n - 1 - places, 0, n - 1)[:, :, None] + jnp.arange(m)
            by_place = jnp.concatenate([by_place, jnp.take_along_axis(every, column[:, None], axis=-1)], axis=2)
        logits = content + by_place
        if conditions.query_types is None:
            return logits
        # What the memory holds is of type 0.
        types = jnp.pad(conditions.key_types, ((0, 0), (before, 0)))
        other = conditions.query_types[:, None, :, None] != types[:, None, None, :]
        by_type = wide_einsum("bhnk,shk->bhns", biased("w"), parameters["types"])
        return logits + jnp.where(other, by_type[..., 1:], by_type[..., :1])

    def _allowed(self, places: jax.Array, n: int, state: HiddenMemory | None, conditions: Conditions) -> jax.Array:
        """bool [b 1 n+p m] or [1 1 n+p m]: who sees whom."""
        keys = jnp.arange(n)
        pattern = conditions.pattern & causal() if self.one_way else conditions.pattern
        own = pattern.allows(places[:, :, None], keys) & jnp.ones((1, 1, n), bool)
        if conditions.key_segments is not None:
            own = own & _same_document(conditions.query_segments, conditions.key_segments)
        if conditions.mask is not None:
            own = own & conditions.mask
        itself = jnp.eye(places.shape[1], n, dtype=bool)
        if state is None:
            length, seen = jnp.zeros((1, 1, 1), jnp.int32), own
        else:
            of_queries = jnp.ones_like(places) if conditions.query_segments is None else conditions.query_segments
            old = _same_document(of_queries, state.segments)
            length = (state.segments > 0).sum(1)[:, None, None]
            own = jnp.broadcast_to(own, (*old.shape[:2], n))
            seen = jnp.concatenate([old, own], axis=-1)
        if self.same_length:
            distance = places[:, :, None] - jnp.arange(n - seen.shape[-1], n)
            seen = seen & (distance <= length)
        return (seen | jnp.pad(itself, ((0, 0), (seen.shape[-1] - n, 0))))[:, None]


def _same_document(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Segments [b n] and [b m] → bool [b n m]."""
    return (keys > 0)[:, None, :] & (queries[:, :, None] == keys[:, None, :])
