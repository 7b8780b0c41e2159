"""Attention by a plan: the pieces of a pattern are laid out, computed tile by tile and joined by their log-sum-exp, in
one `custom_vjp` whose backward hands every piece the output and the log-sum-exp of the *whole* row.

Memory grows with the length and the tiles in flight, never with n m. The gradient is of first order only: forward-mode
and second derivatives need `implementation="reference"`.
"""

import dataclasses
import functools

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.atoms import Bidirectional
from t2t.attention.kernels import gathered, looped, regular
from t2t.attention.kernels.tiles import MASKED, Operands, Rule, Side
from t2t.attention.order import Order
from t2t.attention.pattern import Pattern
from t2t.attention.plan import Piece, plan, without_causality

AT_ONCE = {"cpu": 2**18, "gpu": 2**27, "tpu": 2**25}  # pairs of logits: what the cache holds, or the device keeps busy


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is static about a call.

    Attributes:
      pattern: who may meet.
      scale: of the logits.
      dropout_rate: of the weights.
      placed: whether positions are given as arrays, so that the pattern's geometry in the row is not known.
    """

    pattern: Pattern
    scale: float
    dropout_rate: float
    placed: bool


@flax.struct.dataclass
class Arrays:
    """What is not: query [b n h k], key and value [b m h k], sides [b n] and [b m] (None where they say nothing), the
    bias as a pytree that makes it, keep [b m h] and the key of dropout."""

    query: jax.Array
    key: jax.Array
    value: jax.Array
    query_segments: jax.Array | None = None
    key_segments: jax.Array | None = None
    query_positions: jax.Array | None = None
    key_positions: jax.Array | None = None
    prefix: jax.Array | None = None
    bias: object = None
    keep: jax.Array | None = None
    dropout_key: jax.Array | None = None


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def planned(settings: Settings, arrays: Arrays) -> jax.Array:
    """Attention [b n h k] in the dtype of the values, by the plan of the pattern."""
    return _forward(settings, arrays)[0]


def _forward(settings, arrays):
    out = total = None
    for piece in pieces_of(settings, arrays):
        operands, rule = _lay_out(settings, arrays, piece)
        kernel, *how = _kernel(piece)
        some, some_total = kernel.forward(operands, piece.tiling, rule, *how)
        some, some_total = piece.queries.undo(some), piece.queries.undo(some_total, MASKED)
        if out is None:
            out, total = some, some_total
            continue
        both = jnp.logaddexp(total, some_total)
        old, new = (jnp.exp(x - both)[..., None] for x in (total, some_total))
        out, total = (out * old + some * new).astype(some.dtype), both
    if out is None:  # the pattern allows no pair at all
        return jnp.zeros_like(arrays.query), jnp.full(arrays.query.shape[:3], MASKED)
    # Of rows that see nothing every piece gives 0, and the sum of their log-sum-exps is as good as MASKED.
    return out, total


def _forward_kept(settings, arrays):
    out, total = _forward(settings, arrays)
    return out, (arrays, out, total)


def _backward(settings, kept, d_out):
    arrays, out, total = kept
    delta = (out.astype(jnp.float32) * d_out.astype(jnp.float32)).sum(-1)
    gradients = None
    for piece in pieces_of(settings, arrays):
        operands, rule = _lay_out(settings, arrays, piece)
        kernel, *how = _kernel(piece)
        lay = piece.queries.lay
        some = kernel.backward(operands, piece.tiling, rule, *how, lay(d_out), lay(total, -MASKED), lay(delta))
        orders = (piece.queries, piece.keys, piece.keys)
        some = (*(order.undo(g) for order, g in zip(orders, some)), some[3])
        gradients = some if gradients is None else jax.tree.map(jnp.add, gradients, some)
    none = Arrays(**{field.name: None for field in dataclasses.fields(Arrays)})
    if gradients is None:
        zeros = (jnp.zeros_like(x) for x in (arrays.query, arrays.key, arrays.value))
        return (
            none.replace(**dict(zip(("query", "key", "value"), zeros)), bias=jax.tree.map(jnp.zeros_like, arrays.bias)),
        )
    d_query, d_key, d_value, d_bias = gradients
    return (
        none.replace(
            query=(d_query * settings.scale).astype(arrays.query.dtype),
            key=d_key.astype(arrays.key.dtype),
            value=d_value.astype(arrays.value.dtype),
            bias=d_bias,
        ),
    )


planned.defvjp(_forward_kept, _backward)


def pieces_of(settings: Settings, arrays: Arrays) -> tuple[Piece, ...]:
    """The plan of a call. With positions in arrays it is that of the whole row, on which the pattern is laid as a mask;
    with a prefix it is that of the pattern without causality."""
    n, m = arrays.query.shape[1], arrays.key.shape[1]
    if settings.placed:
        (piece,) = plan(Bidirectional(), n, m)
        return (dataclasses.replace(piece, pattern=settings.pattern),)
    return plan(settings.pattern if arrays.prefix is None else without_causality(settings.pattern), n, m)


def _lay_out(settings: Settings, arrays: Arrays, piece: Piece) -> tuple[Operands, Rule]:
    def side(order: Order, segments, positions, prefix):
        index = jnp.asarray(order.positions, jnp.int32)[None]
        return Side(
            index=index,
            positions=index if positions is None else order.lay(positions, -1),
            segments=None if segments is None else order.lay(segments),
            prefix=None if prefix is None else order.lay(prefix, False),
        )

    n, prefix = arrays.query.shape[1], arrays.prefix
    query_prefix = None if prefix is None else prefix[:, :n]
    operands = Operands(
        query=piece.queries.lay(arrays.query * jnp.asarray(settings.scale, arrays.query.dtype)),
        key=piece.keys.lay(arrays.key),
        value=piece.keys.lay(arrays.value),
        query_side=side(piece.queries, arrays.query_segments, arrays.query_positions, query_prefix),
        key_side=side(piece.keys, arrays.key_segments, arrays.key_positions, prefix),
        bias=arrays.bias,
        keep=None if arrays.keep is None else piece.keys.lay(arrays.keep),
        dropout_key=arrays.dropout_key,
    )
    if prefix is not None and settings.placed:
        piece = dataclasses.replace(piece, pattern=without_causality(settings.pattern))
    rule = Rule(
        pattern=piece.pattern,
        causal=None if prefix is None else settings.pattern,
        empty=True,
        dropout_rate=settings.dropout_rate,
    )
    return operands, rule


def _kernel(piece: Piece):
    """The kernel of a piece on the present device, and its settings."""
    platform = jax.default_backend()
    at_once = AT_ONCE.get(platform, AT_ONCE["gpu"])
    if piece.tiling.regular is not None:
        return regular, at_once
    return (looped,) if platform == "cpu" else (gathered, at_once)
