"""`attend`: exact attention under any pattern, by the way of computing it that suits the pattern and the device."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.calls import Call
from t2t.attention.dense import allowed_pairs, reference
from t2t.attention.kernels.offset_bias import reach
from t2t.attention.kernels.tiles import ArrayBias, FunctionBias
from t2t.attention.named import bidirectional
from t2t.attention.pattern import Pattern
from t2t.attention.plan import plan
from t2t.attention.planned import Arrays, Settings, dense_parts, planned

EVERYONE = bidirectional()
Implementation = Literal["auto", "reference", "tiles", "fused"]

FEW_PAIRS = 2**16  # n · m below which tiles are not worth their loops
MANY_LOGITS = 2**26  # b · h · n · m above which their memory is not worth having, whatever the pattern
MANY_ON_CPU = 2**25  # the same where tiles stay in the cache and logits do not
WORTH_LEAVING_OUT = 0.6  # of n · m: a plan that computes more than this gains nothing over all logits at once


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    pattern: Pattern | Sequence[Pattern] = EVERYONE,
    bias: jax.Array | Callable[..., jax.Array] | None = None,
    query_segments: jax.Array | None = None,
    key_segments: jax.Array | None = None,
    query_positions: jax.Array | None = None,
    key_positions: jax.Array | None = None,
    prefix: jax.Array | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: jax.Array | None = None,
    dropout_over_queries: bool = False,
    implementation: Implementation = "auto",
) -> jax.Array:
    """Attention of n queries over m keys, softmax(q·k scale + bias) v over the pairs that may meet.

    Logits and softmax are float32 whatever the inputs' dtype. A query that may see no key gets exactly 0.

    Args:
      query: [b n h k].
      key, value: [b m h k].
      pattern: who may meet; everyone by default. A list gives each head its own.
      bias: added to the scaled logits: an array broadcastable to [b h n m], or a function of the query and key
        positions, [x n] and [x m], that makes [x h n m] and is called for one tile after another, so that no array of
        n m is made. What it learns it holds as a pytree; a plain function has nothing to learn. One that looks at the
        distance alone says so by `of_distances` (see `tiles.bias_of`), and by `max_distance` if all that are as far
        or farther have one bias, on either side: then "fused" makes it for a block and its neighbours alone.
      query_segments, key_segments: int [b n], [b m]; only equal, non-zero segments meet. Both or neither.
      query_positions, key_positions: int [b n], [b m] for the pattern and the bias; 0, 1, … where not given. Both or
        neither. With positions a pattern's geometry in the row is not known, and every pair is computed.
      prefix: int or bool [b m]; between two true positions of self-attention causality is lifted (prefix LM). Where
        there are fewer queries than keys, they are the first n of them.
      scale: of the logits; 1/sqrt(k) by default.
      dropout_rate: of the attention weights, active where `dropout_key` is given.
      dropout_over_queries: one dropout mask over keys for all the queries of a row, as T5 does.
      implementation: "reference" makes all logits at once, in O(n m) memory; "tiles" computes only tiles that hold
        pairs of the pattern, in O(n) memory (reverse-mode gradients of first order only); "fused" does so with the
        device's own kernels (cuDNN on a GPU), in 16 bits, wherever these can do what is asked; "auto" chooses.

    Returns:
      [b n h k] in the dtype of `value`.

    Raises:
      ValueError: shapes that do not fit, one of a pair of arguments without the other, or "fused" where the device's
        kernels can do nothing of what is asked.
    """
    _check(query, key, value, query_segments, key_segments, query_positions, key_positions, bias)
    if not isinstance(pattern, Pattern):
        return _head_by_head(
            query,
            key,
            value,
            tuple(pattern),
            bias,
            query_segments=query_segments,
            key_segments=key_segments,
            query_positions=query_positions,
            key_positions=key_positions,
            prefix=prefix,
            scale=scale,
            dropout_rate=dropout_rate,
            dropout_key=dropout_key,
            dropout_over_queries=dropout_over_queries,
            implementation=implementation,
        )
    if dropout_rate == 0.0 or dropout_key is None:
        dropout_rate, dropout_key = 0.0, None
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    (b, n, h, _), m = query.shape, key.shape[1]
    around = {
        "query_segments": query_segments,
        "key_segments": key_segments,
        "query_positions": query_positions,
        "key_positions": key_positions,
        "prefix": prefix,
    }
    settings = Settings(pattern, float(scale), dropout_rate, query_positions is not None, implementation != "tiles")
    arrays = Arrays(query=query, key=key, value=value, bias=_as_value(bias, n, m), dropout_key=dropout_key, **around)
    if implementation in ("auto", "fused"):
        parts = dense_parts(settings, arrays)
        if implementation == "fused" and parts is None:
            raise ValueError(
                "attend(implementation): 'fused' needs a device with attention kernels of its own that can do what is "
                f"asked, found {jax.default_backend()}, {query.dtype}, head width {query.shape[-1]}, {pattern!r}; "
                "use 'auto'."
            )
        if parts is not None and all(isinstance(part, Call) for part in parts):
            implementation = "fused"
    if implementation == "auto":
        looked_up = isinstance(arrays.bias, ArrayBias)
        many = MANY_ON_CPU if jax.default_backend() == "cpu" and not looked_up else MANY_LOGITS
        placed, prefixed = query_positions is not None, prefix is not None
        implementation = choose(pattern, b, h, n, m, many=many, placed=placed, prefix=prefixed)
    if implementation == "reference":
        return reference(
            query,
            key,
            value,
            allowed=allowed_pairs(n, m, pattern=pattern, **around),
            bias=_bias_array(bias, n, m, query_positions, key_positions),
            scale=scale,
            dropout_rate=dropout_rate,
            dropout_key=dropout_key,
            dropout_over_queries=dropout_over_queries,
        )
    if implementation not in ("tiles", "fused"):
        raise ValueError(
            f"attend(implementation): expected 'auto', 'reference', 'tiles' or 'fused', found {implementation!r}."
        )
    if prefix is not None:
        arrays = arrays.replace(prefix=prefix.astype(bool))
    if dropout_key is not None and dropout_over_queries:
        keep = jax.random.bernoulli(dropout_key, 1.0 - dropout_rate, (b, m, h)) / (1.0 - dropout_rate)
        arrays = arrays.replace(keep=keep, dropout_key=None)
    return planned(settings, arrays)


def choose(
    pattern: Pattern,
    b: int,
    h: int,
    n: int,
    m: int,
    *,
    many: int = MANY_LOGITS,
    placed: bool = False,
    prefix: bool = False,
) -> Implementation:
    """The implementation that `attend` takes by itself for b rows of n queries and m keys with h heads, where more than
    `many` logits are not to be had at once."""
    if n * m < FEW_PAIRS:
        return "reference"
    if b * h * n * m > many:
        return "tiles"
    if placed or prefix:
        return "reference"
    computed = sum(piece.tiling.computed for piece in plan(pattern, n, m))
    return "tiles" if computed < WORTH_LEAVING_OUT * n * m else "reference"


def _head_by_head(query, key, value, patterns, bias, *, dropout_key, **conditions) -> jax.Array:
    """Heads of one pattern together, and each head back in its place."""
    heads = query.shape[2]
    if len(patterns) != heads:
        raise ValueError(
            f"attend(pattern): expected a pattern, or one for each of {heads} heads, found {len(patterns)}."
        )
    outs, order = [], []
    for i, pattern in enumerate(dict.fromkeys(patterns)):
        mine = [head for head, p in enumerate(patterns) if p == pattern]
        outs.append(
            attend(
                *(x[:, :, np.asarray(mine)] for x in (query, key, value)),
                pattern=pattern,
                bias=_of_heads(bias, tuple(mine)),
                dropout_key=None if dropout_key is None else jax.random.fold_in(dropout_key, i),
                **conditions,
            )
        )
        order += mine
    return jnp.concatenate(outs, axis=2)[:, :, np.argsort(order)]


@flax.struct.dataclass
class _HeadsBias:
    """Some heads of a bias that is made from positions."""

    bias: Callable[..., jax.Array]
    heads: tuple[int, ...] = flax.struct.field(pytree_node=False)

    def __call__(self, query: jax.Array, key: jax.Array) -> jax.Array:
        return self.bias(query, key)[:, np.asarray(self.heads)]


@flax.struct.dataclass
class _HeadsBiasOfDistances(_HeadsBias):
    """Of one that is a function of the distance alone."""

    def of_distances(self, distance: jax.Array) -> jax.Array:
        return self.bias.of_distances(distance)[np.asarray(self.heads)]

    @property
    def max_distance(self) -> int | None:
        return reach(self.bias)


def _of_heads(bias, heads: tuple[int, ...]):
    if bias is None:
        return None
    if callable(bias):
        return (_HeadsBiasOfDistances if hasattr(bias, "of_distances") else _HeadsBias)(bias, heads)
    return bias if bias.shape[1] == 1 else bias[:, np.asarray(heads)]


def _as_value(bias, n: int, m: int):
    """A bias as a pytree that makes it."""
    if isinstance(bias, (jax.Array, np.ndarray)):
        return ArrayBias(jnp.broadcast_to(bias, (*bias.shape[:2], n, m)))
    return FunctionBias(bias) if bias is not None and jax.tree.leaves(bias) == [bias] else bias


def _bias_array(bias, n: int, m: int, query_positions, key_positions) -> jax.Array | None:
    """A bias as an array broadcastable to [b h n m]."""
    if bias is None or not callable(bias):
        return bias
    if query_positions is None:
        query_positions, key_positions = jnp.arange(n)[None], jnp.arange(m)[None]
    return bias(query_positions, key_positions)


def _check(query, key, value, query_segments, key_segments, query_positions, key_positions, bias) -> None:
    """Refuses shapes that do not fit, saying which."""
    if (
        query.ndim != 4
        or key.ndim != 4
        or key.shape != value.shape
        or query.shape[0] != key.shape[0]
        or query.shape[2:] != key.shape[2:]
    ):
        raise ValueError(
            "attend: expected query [b n h k], key and value [b m h k], "
            f"found query {query.shape}, key {key.shape}, value {value.shape}."
        )
    for kind, of_query, of_key in (
        ("segments", query_segments, key_segments),
        ("positions", query_positions, key_positions),
    ):
        if (of_query is None) != (of_key is None):
            raise ValueError(f"attend: query_{kind} and key_{kind} go together, found one without the other.")
        if of_query is not None and (of_query.shape != query.shape[:2] or of_key.shape != key.shape[:2]):
            raise ValueError(
                f"attend: expected query_{kind} {query.shape[:2]} and key_{kind} {key.shape[:2]}, "
                f"found {of_query.shape} and {of_key.shape}."
            )
    if bias is not None and not callable(bias):
        (b, n, h, _), m = query.shape, key.shape[1]
        if bias.ndim != 4 or any(found not in (1, wanted) for found, wanted in zip(bias.shape, (b, h, n, m))):
            raise ValueError(f"attend: expected a bias broadcastable to {(b, h, n, m)}, found {bias.shape}.")
