"""Attention to parts of the past with relative positions (Transformer-XL, Dai et al. 2019, section 3.3).

The logit of a query i and a key j is (q_i + u)·k_j + (q_i + v)·(W_R R_{i−j}), with R the sinusoids of Vaswani et al.
2017. The second product is one matrix product with all distances, whose rows are then shifted (appendix B).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.kernels.tiles import FLOOR, MASKED
from t2t.attention.pattern import Pattern

IN_CACHE = 2**15  # from so many logits a head on, a CPU is faster with one head at a time, which stay in its cache


@dataclasses.dataclass(frozen=True)
class Part:
    """Keys that follow each other in time, at `first`, `first` + 1, …, where the first query stands at 0.

    Attributes:
      key: [b h k m], the layout whose product with queries is fastest on CPUs.
      value: [b h m k].
      segments: int32 [b m], or None.
      turn: int32, the slot of the oldest key where they lie in a ring; None where they lie in order.
      first: negative for the past; an integer, or an int32 scalar.
    """

    key: jax.Array
    value: jax.Array
    segments: jax.Array | None
    turn: jax.Array | None = None
    first: int | jax.Array = 0

    @classmethod
    def of(cls, key: jax.Array, value: jax.Array, segments: jax.Array | None, **place: Any) -> "Part":
        """The part of keys and values [b m h k]."""
        return cls(jnp.transpose(key, (0, 2, 3, 1)), jnp.moveaxis(value, 2, 1), segments, **place)

    @property
    def positions(self) -> jax.Array:
        """int32 [m], as they lie."""
        m = self.key.shape[-1]
        order = jnp.arange(m) if self.turn is None else (jnp.arange(m) - self.turn) % m
        return self.first + order


@flax.struct.dataclass
class Relative:
    """The relative encoding of one layer.

    Attributes:
      u, v: [h k], the biases of queries for content and for positions.
      table: [h k r], W_R R for the distances r − 1, …, 1, 0. Farther ones are encoded as r − 1.
    """

    u: jax.Array
    v: jax.Array
    table: jax.Array


def encode(kernel: jax.Array, distances: int) -> jax.Array:
    """W_R [d h k] → the table [h k r] of so many distances, the farthest first; d is even."""
    return encode_distances(kernel, np.arange(distances)[::-1])


def encode_distances(kernel: jax.Array, distances: np.ndarray) -> jax.Array:
    """W_R [d h k] → [h k r], W_R R of these distances [r], which are negative where the key comes later."""
    rates = 10_000.0 ** (-np.arange(0, kernel.shape[0], 2) / kernel.shape[0])
    angles = distances[:, None] * rates
    sinusoids = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    return jnp.einsum("rd,dhk->hkr", jnp.asarray(sinusoids, kernel.dtype), kernel)


def attend_parts(
    query: jax.Array,
    parts: Sequence[Part],
    *,
    relative: Relative | None = None,
    pattern: Pattern,
    bias: Callable[..., jax.Array] | None = None,
    query_segments: jax.Array | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: jax.Array | None = None,
    dropout_over_queries: bool = False,
) -> jax.Array:
    """One softmax over the keys of all parts, which are never copied into one array.

    Args:
      query: [b n h k], at positions 0 … n−1.
      parts: none of which overlap in time.
      bias: a function of the query and key positions, [1 n], [1 m] → [1 h n m].
      query_segments: int32 [b n]; given where the parts have segments.
      pattern, scale, dropout_rate, dropout_key, dropout_over_queries: see `attend`.

    Returns:
      [b n h k] in the dtype of the values; exactly 0 for a query that sees nothing.
    """
    b, n, h, k = query.shape
    scale, query = 1.0 / math.sqrt(k) if scale is None else scale, jnp.moveaxis(query, 2, 1)
    masks = [meeting(pattern, part, n) for part in parts]
    windows = None if relative is None else [Window.of(relative.table, part, n) for part in parts]
    own = {
        "content": (query if relative is None else query + relative.u[:, None]) * jnp.asarray(scale, query.dtype),
        "place": None if relative is None else (query + relative.v[:, None]) * jnp.asarray(scale, query.dtype),
        "keys": [part.key for part in parts],
        "values": [part.value for part in parts],
        "dropout": jax.random.split(dropout_key, (b, h)) if dropout_key is not None and dropout_rate else None,
    }
    of_head = {
        "windows": windows,
        "biases": None if bias is None else [bias(jnp.arange(n)[None], part.positions[None])[0] for part in parts],
    }
    of_row = None if query_segments is None else {"queries": query_segments, "keys": [p.segments for p in parts]}

    def head(own, of_head, of_row):
        """One head of one row: logits of every part, their common softmax, and the mixture [n k] of their values."""
        logits = []
        for i, (part, mask) in enumerate(zip(parts, masks)):
            x = jnp.matmul(own["content"], own["keys"][i], preferred_element_type=jnp.float32)
            if relative is not None:
                by_age = of_head["windows"][i].logits(own["place"])
                x = x + (by_age if part.turn is None else jnp.roll(by_age, part.turn, axis=-1))
            if bias is not None:
                x = x + of_head["biases"][i].astype(jnp.float32)
            if mask is not None:
                x = jnp.where(mask, x, MASKED)
            if of_row is not None:
                of_query, of_key = of_row["queries"][:, None], of_row["keys"][i][None, :]
                x = jnp.where((of_query == of_key) & (of_key > 0), x, MASKED)
            logits.append(x)
        maxima = jnp.stack([x.max(-1) for x in logits]).max(0)
        maxima = jax.lax.stop_gradient(jnp.maximum(maxima, FLOOR))[:, None]
        weights = [jnp.exp(x - maxima) for x in logits]
        totals = sum(w.sum(-1) for w in weights)[:, None]
        if own["dropout"] is not None:
            keys = jax.random.split(own["dropout"], len(parts))
            shapes = [(1 if dropout_over_queries else n, w.shape[1]) for w in weights]
            kept = [jax.random.bernoulli(key, 1.0 - dropout_rate, shape) for key, shape in zip(keys, shapes)]
            weights = [jnp.where(keep, w / (1.0 - dropout_rate), 0.0) for keep, w in zip(kept, weights)]
        mixed = sum(
            jnp.matmul(w.astype(v.dtype), v, preferred_element_type=jnp.float32) for w, v in zip(weights, own["values"])
        )
        return (mixed / jnp.where(totals == 0.0, 1.0, totals)).astype(own["values"][0].dtype)

    one_by_one = jax.default_backend() == "cpu" and n * sum(part.key.shape[-1] for part in parts) >= IN_CACHE
    return jnp.moveaxis((_one_by_one if one_by_one else _at_once)(head, own, of_head, of_row), 1, 2)


def meeting(pattern: Pattern, part: Part, n: int) -> jax.Array | None:
    """Which of n queries meet which keys of a part by the pattern, [n m]; None where all do."""
    if isinstance(part.first, int):
        in_order = part.first + np.arange(part.key.shape[-1])
        if pattern.allows(np.arange(n)[:, None], in_order[None, :]).all():
            return None
    return pattern.allows(jnp.arange(n)[:, None], part.positions[None, :])


@flax.struct.dataclass
class Window:
    """What n queries need of a table for m keys.

    Attributes:
      table: [h k w] or of one head [k w], the columns of the distances n − 1 − first, …, −first − m that there are.
      farther: how many distances there are before its first column, encoded as that one.
      future: how many after its last, which are negative and never met.
      keys: m.
    """

    table: jax.Array
    farther: int = flax.struct.field(pytree_node=False)
    future: int = flax.struct.field(pytree_node=False)
    keys: int = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, table: jax.Array, part: Part, n: int) -> "Window":
        r, m = table.shape[-1], part.key.shape[-1]
        start = r - n + part.first
        if not isinstance(start, int):  # not known when the program is made: all columns are made to be there
            table = jnp.pad(table, ((0, 0), (0, 0), (n + m, 0)), mode="edge")
            return cls(jax.lax.dynamic_slice_in_dim(table, start + n + m, n + m, axis=-1), 0, 0, m)
        low, high = max(start, 0), min(max(start + n + m, 1), r)
        return cls(table[..., low:high], low - start, max(start + n + m - r, 0), m)

    def logits(self, query: jax.Array) -> jax.Array:
        """Queries [n k] of a head → the products with the encoded distance of each key, float32 [n m], oldest key
        first."""
        n, m = query.shape[0], self.keys
        x = jnp.matmul(query, self.table, preferred_element_type=jnp.float32)
        nearest = jnp.zeros((n, self.future), x.dtype)
        x = jnp.concatenate([jnp.repeat(x[:, :1], self.farther, axis=1), x, nearest], axis=1)[:, : n + m]
        # Row i begins n − 1 − i columns later: in the order of memory that is one slice of rows that are one shorter.
        return x.reshape(-1)[n - 1 : n - 1 + n * (n + m - 1)].reshape(n, n + m - 1)[:, :m]


def _at_once(head: Callable, own: Any, of_head: Any, of_row: Any) -> jax.Array:
    """`head` of all rows and heads, [b h n k], from arrays [b h …], [h …] and [b …]."""
    of_heads = jax.vmap(head, in_axes=(0, 0, None))
    return jax.vmap(of_heads, in_axes=(0, None, 0))(own, of_head, of_row)


def _one_by_one(head: Callable, own: Any, of_head: Any, of_row: Any) -> jax.Array:
    """The same, one head after the other."""
    b, h = own["content"].shape[:2]

    def one(given):
        i, own = given
        return head(own, *(jax.tree.map(lambda x, j=j: x[j], tree) for tree, j in ((of_head, i % h), (of_row, i // h))))

    flat = jax.tree.map(lambda x: x.reshape(b * h, *x.shape[2:]), own)
    out = jax.lax.map(one, (jnp.arange(b * h), flat))
    return out.reshape(b, h, *out.shape[1:])
