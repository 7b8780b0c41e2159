"""Attention by a plan: the pieces of a pattern are laid out, computed tile by tile and joined by their log-sum-exp, in
one `custom_vjp` whose backward hands every piece the output and the log-sum-exp of the *whole* row.

Memory grows with the length and the tiles in flight, never with n m. The gradient is of first order only: forward-mode
and second derivatives need `implementation="reference"`.
"""

import dataclasses
import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from t2t.attention.atoms import Bidirectional, Causal
from t2t.attention.calls import Call
from t2t.attention.dense_plan import Part, dense_plan, near_and_far
from t2t.attention.kernels import fused, gathered, looped, regular
from t2t.attention.kernels.offset_bias import OffsetBias, reach
from t2t.attention.kernels.tiles import MASKED, Operands, Rule, Side
from t2t.attention.order import Order
from t2t.attention.packing import documents, one_document
from t2t.attention.pattern import Pattern
from t2t.attention.plan import Piece, normal_form, plan, simplify, without_causality
from t2t.attention.tiling import LARGEST

AT_ONCE = {"cpu": 2**18, "gpu": 2**27, "tpu": 2**25}  # pairs of logits: what the cache holds, or the device keeps busy
LARGE = 2  # times as many on a CPU where tiles are large
SMALLER = 2**16  # pairs of a tile that are enough where there are many rows and heads


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is static about a call.

    Attributes:
      pattern: who may meet.
      scale: of the logits.
      dropout_rate: of the weights.
      placed: whether positions are given as arrays, so that the pattern's geometry in the row is not known.
      fused: whether the device's own kernels compute what they can.
    """

    pattern: Pattern
    scale: float
    dropout_rate: float
    placed: bool
    fused: bool = False


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
    """The output, its log-sum-exp, and that of each call that a bias only shifts, which the bias's gradient needs."""
    return _by_plan(settings, arrays, functools.partial(_output, settings))


def _output(settings, arrays, parts, rows):
    out = total = None
    shifted = []
    for part in parts:
        some, some_total = _part_output(settings, arrays, part, rows)
        if _is_shifted(part, arrays):
            shifted.append(some_total)
        if out is None:
            out, total = some, some_total
            continue
        both = jnp.logaddexp(total, some_total)
        old, new = (jnp.exp(x - both)[..., None] for x in (total, some_total))
        out, total = out * old + some * new, both
    none = jnp.full(arrays.query.shape[:3], MASKED)
    wanted = sum(_is_shifted(part, arrays) for part in dense_parts(settings, arrays) or ())
    shifted = (*shifted, *[none] * (wanted - len(shifted)))  # whichever way the rows go
    if out is None:  # the pattern allows no pair at all
        return jnp.zeros_like(arrays.query), none, shifted
    if rows is not None:
        there = rows.queries[:, :, None]
        out, total = jnp.where(there[..., None], out, 0.0), jnp.where(there, total, MASKED)
    # Of rows that see nothing every part gives 0, and the sum of their log-sum-exps is as good as MASKED.
    return out.astype(arrays.value.dtype), total, shifted


def _is_shifted(part, arrays):
    return isinstance(part, Call) and fused.shifts(part, arrays.bias)


def _part_output(settings, arrays, part, rows):
    if isinstance(part, Call):
        return fused.forward(part, _scaled(settings, arrays), arrays.key, arrays.value, arrays.bias, rows)
    operands, rule = _lay_out(settings, arrays, part, _bias_of_part(settings, part, arrays.bias, turned=False))
    kernel, *how = _kernel(part, operands, rule)
    out, total = kernel.forward(operands, part.tiling, rule, *how)
    return part.queries.undo(out), part.queries.undo(total, MASKED)


def _forward_kept(settings, arrays):
    out, *rest = _forward(settings, arrays)
    return out, (arrays, out, *rest)


def _backward(settings, kept, d_out):
    arrays, *kept = kept
    d_query, d_key, d_value, d_bias = _by_plan(
        settings, arrays, functools.partial(_gradients, settings, kept=(*kept, d_out))
    )
    none = Arrays(**{field.name: None for field in dataclasses.fields(Arrays)})
    return (
        none.replace(
            query=(d_query * settings.scale).astype(arrays.query.dtype),
            key=d_key.astype(arrays.key.dtype),
            value=d_value.astype(arrays.value.dtype),
            bias=d_bias,
        ),
    )


def _gradients(settings, arrays, parts, rows, kept):
    out, total, shifted, d_out = kept
    if rows is not None:  # rows that are not there weigh nothing
        there = rows.queries[:, :, None]
        d_out, total = jnp.where(there[..., None], d_out, 0), jnp.where(there, total, -MASKED)
    gradients, shifted = None, iter(shifted)
    for part in parts:
        own_total = next(shifted) if _is_shifted(part, arrays) else None
        some = _part_gradients(settings, arrays, part, rows, out, total, d_out, own_total)
        gradients = some if gradients is None else jax.tree.map(jnp.add, gradients, some)
    if gradients is None:
        zeros = (jnp.zeros(x.shape, jnp.float32) for x in (arrays.query, arrays.key, arrays.value))
        return *zeros, jax.tree.map(jnp.zeros_like, arrays.bias)
    if rows is None:
        return gradients
    there = (rows.queries, rows.keys, rows.keys)
    return *(jnp.where(t[:, :, None, None], g, 0.0) for t, g in zip(there, gradients)), gradients[3]


def _part_gradients(settings, arrays, part, rows, out, total, d_out, own_total):
    if isinstance(part, Call):
        given = _scaled(settings, arrays), arrays.key, arrays.value, out, total, d_out
        return fused.backward(part, *given, arrays.bias, rows, own_total)
    bias, pull = jax.vjp(lambda bias: _bias_of_part(settings, part, bias, turned=True), arrays.bias)
    operands, rule = _lay_out(settings, arrays, part, bias)
    kernel, *how = _kernel(part, operands, rule)
    delta = (out.astype(jnp.float32) * d_out.astype(jnp.float32)).sum(-1)
    lay = part.queries.lay
    given = jax.tree.map(jnp.zeros_like, bias), lay(d_out), lay(total, -MASKED), lay(delta)
    some = kernel.backward(operands, part.tiling, rule, *how, *given)
    return *(order.undo(g) for order, g in zip((part.queries, part.keys, part.keys), some)), pull(some[3])[0]


planned.defvjp(_forward_kept, _backward)


def _by_plan(settings: Settings, arrays: Arrays, compute: Callable):
    """`compute(arrays, parts, rows)`, by the plan that suits the device and, where rows have segments, what these turn
    out to be when the program runs: the device's own kernels do not know segments, but that a row is one document with
    padding behind, or several packed ones."""
    parts = dense_parts(settings, arrays)
    if parts is None:
        return compute(arrays, pieces_of(settings, arrays), None)
    segments = arrays.query_segments, arrays.key_segments
    if segments[0] is None:
        return compute(arrays, parts, None)
    bare = arrays.replace(query_segments=None, key_segments=None)
    rows = fused.Rows(*(s > 0 for s in segments))
    usable = functools.partial(fused.usable, query=arrays.query, bias=arrays.bias)
    causal = all(Causal() in term for term in normal_form(settings.pattern))
    lengths, fits = one_document(*segments, causal=causal)
    # Under causality what is behind a document sees it, but is not seen.
    ways = [(fits if causal else fits & (lengths == arrays.key.shape[1]).all(), parts, rows)]
    alone = _alone(settings, arrays)
    if alone is not None and not causal and usable(alone, lengths=True):
        ways.append((fits, (alone,), rows.replace(key_lengths=lengths)))
    if alone is not None and usable(alone, packed=True):
        packed, fits = documents(*segments, fused.MOST_DOCUMENTS, aligned=alone.causal)
        ways.append((fits, (alone,), rows.replace(documents=packed)))
    branches = [functools.partial(compute, bare, parts, rows) for _, parts, rows in ways]
    branches.append(functools.partial(compute, arrays, pieces_of(settings, arrays), None))
    return jax.lax.switch(jnp.argmax(jnp.stack([*(fits for fits, *_ in ways), jnp.array(True)])), branches)


def dense_parts(settings: Settings, arrays: Arrays) -> tuple[Part, ...] | None:
    """The plan of a call with the device's own kernels, or None where they can do nothing of it."""
    asked = (arrays.prefix, arrays.keep, arrays.dropout_key)
    dtypes = {x.dtype for x in (arrays.query, arrays.key, arrays.value)}
    if not settings.fused or fused.device() is None or settings.placed or len(dtypes) > 1:
        return None
    if any(x is not None for x in asked):
        return None
    n, m = arrays.query.shape[1], arrays.key.shape[1]
    usable = functools.partial(fused.usable, query=arrays.query, bias=arrays.bias)
    far = reach(arrays.bias)
    if far is not None and n == m:
        parts = near_and_far(simplify(settings.pattern.expand()), n, far)
        if parts is not None and all(usable(call) for call in parts):
            return parts
    parts = dense_plan(settings.pattern, n, m, usable)
    return parts if any(isinstance(part, Call) for part in parts) else None


def _alone(settings: Settings, arrays: Arrays) -> Call | None:
    """The one call of all queries and keys that a pattern is, if it is one."""
    parts = dense_plan(settings.pattern, arrays.query.shape[1], arrays.key.shape[1], lambda call: True)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Call) and parts[0].whole else None


def pieces_of(settings: Settings, arrays: Arrays) -> tuple[Piece, ...]:
    """The plan of a call. With positions in arrays it is that of the whole row, on which the pattern is laid as a mask;
    with a prefix it is that of the pattern without causality."""
    b, n, h, _ = arrays.query.shape
    lengths = n, arrays.key.shape[1], _most_pairs(b * h)
    if settings.placed:
        (piece,) = plan(Bidirectional(), *lengths)
        return (dataclasses.replace(piece, pattern=settings.pattern),)
    return plan(settings.pattern if arrays.prefix is None else without_causality(settings.pattern), *lengths)


def _most_pairs(matrices: int) -> int:
    """Of a tile, where so many rows and heads are to be computed: on a CPU smaller ones where many of them are in the
    cache at once, which suits products as well, and share a bias."""
    at_once = LARGE * AT_ONCE["cpu"] * jax.device_count()
    return SMALLER if jax.default_backend() == "cpu" and matrices * SMALLER >= at_once else LARGEST


def _scaled(settings: Settings, arrays: Arrays) -> jax.Array:
    return arrays.query * jnp.asarray(settings.scale, arrays.query.dtype)


def _even(settings: Settings, piece: Piece) -> bool:
    """Whether a slot's number is its position, of queries and keys."""
    return not settings.placed and type(piece.queries) is type(piece.keys) is Order


def _bias_of_part(settings: Settings, piece: Piece, bias, turned: bool):
    """What the kernels take for a bias, for the forward pass or, turned, for the backward pass: that of tiles' offsets
    where slots are positions and it looks at nothing but the distance."""
    made = None
    if hasattr(bias, "of_distances") and _even(settings, piece):
        made = OffsetBias.of(bias, piece.tiling, turned=turned)
    return bias if made is None else made


def _lay_out(settings: Settings, arrays: Arrays, piece: Piece, bias) -> tuple[Operands, Rule]:
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
        query=piece.queries.lay(_scaled(settings, arrays)),
        key=piece.keys.lay(arrays.key),
        value=piece.keys.lay(arrays.value),
        query_side=side(piece.queries, arrays.query_segments, arrays.query_positions, query_prefix),
        key_side=side(piece.keys, arrays.key_segments, arrays.key_positions, prefix),
        bias=bias,
        keep=None if arrays.keep is None else piece.keys.lay(arrays.keep),
        dropout_key=arrays.dropout_key,
        even=_even(settings, piece),
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


def _kernel(piece: Piece, operands: Operands, rule: Rule):
    """The kernel of a piece on the present device, and its settings."""
    platform = jax.default_backend()
    at_once = AT_ONCE.get(platform, AT_ONCE["gpu"])
    if piece.tiling.regular is not None:
        _, stride = piece.tiling.regular
        return regular, LARGE * at_once if platform == "cpu" and stride == 0 else at_once
    if platform == "tpu":
        from t2t.attention.kernels import pallas_tiles  # a compiler that no other device needs

        if pallas_tiles.serves(operands, piece.tiling, rule):
            return (pallas_tiles,)
    return (looped, LARGE * at_once) if platform == "cpu" else (gathered, at_once)
