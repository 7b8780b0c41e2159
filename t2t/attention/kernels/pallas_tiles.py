"""Blocks of a tiling one after another in one TPU kernel, so that no logit leaves the chip's own memory: for rows of
unequal weight, which pay for no more than their own slices.

A grid of (row, head, item) walks the pairs of `aligned`; Pallas brings each item's blocks while the one before is
computed. The forward and the gradient of queries walk them by blocks of queries, the gradients of keys and values by
blocks of keys, so that what is summed stays on the chip until its last item. Everything stands transposed, slots in
lanes and [keys queries] for logits: then a head of any width fills whole registers, what is known of queries is a row,
what is known of keys a column, and the softmax's sums run over sublanes.

Slots are padded to whole blocks, multiples of 128 lanes. The TPU compiler takes the kernels for v4, v5e, v5p, v6e and
7x; they have run in interpret mode only: no TPU has run them yet.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from t2t.attention.kernels.aligned import MOST_ITEMS, Blocks, aligned, unpacked
from t2t.attention.kernels.tiles import FLOOR, MASKED, Operands, Rule, pad
from t2t.attention.pattern import Pattern
from t2t.attention.tiling import Tiling

QUERY, KEY = 0, 1  # what an array has slots of; also by what items are walked
# What the arrays of a walk have slots of, and in which axis where that is not the last.
SLOTS = (QUERY,), (KEY,), (KEY,), (QUERY,), (KEY, 2), (QUERY,), (QUERY,)
# What products sum over: [k m] with [k q], [k m] with [m q], [k q] with [m q].
ROWS, INNER, LANES = ((0,), (0,)), ((1,), (0,)), ((1,), (1,))


def serves(operands: Operands, tiling: Tiling, rule: Rule) -> bool:
    """Whether this kernel computes such a piece here: on a TPU with bfloat16 products (v4 and later), in a program of
    one device, as no compiler splits a kernel by itself, or inside of a `jax.shard_map` over all axes of its mesh;
    without bias, dropout and prefix; for a pattern that `lowers`, and no more items than its memory holds."""
    if jax.default_backend() != "tpu" or pltpu.get_tpu_info().generation < 4:
        return False
    mesh = jax.sharding.get_abstract_mesh()
    if jax.device_count() > 1 and (mesh.empty or set(mesh.manual_axes) != set(mesh.axis_names)):
        return False
    others = (operands.bias, operands.keep, operands.dropout_key, rule.causal)
    if any(other is not None for other in others) or not lowers(rule.pattern):
        return False
    return len(aligned(tiling, operands.query.shape[1], operands.key.shape[1]).items) <= MOST_ITEMS


@functools.lru_cache(maxsize=512)
def lowers(pattern: Pattern) -> bool:
    """Whether a pattern can be evaluated in a kernel, where there are no gathers and no arrays but the arguments."""

    def kernel(query, key, out):
        out[...] = jnp.where(pattern.allows(query[...], key[...]) & (query[...] >= key[...]), 1, 0)

    @jax.jit
    def run(query, key):
        return pl.pallas_call(kernel, out_shape=jax.eval_shape(jnp.add, query, key))(query, key)

    row, column = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((1, 128), (128, 1)))
    try:
        run.trace(row, column).lower(lowering_platforms=("tpu",))
    except Exception:  # whatever a predicate or the compiler raises, the portable kernels are there
        return False
    return True


def forward(operands: Operands, tiling: Tiling, rule: Rule, *, interpret: bool = False) -> tuple[jax.Array, jax.Array]:
    """Attention of laid-out arrays; see `looped.forward`."""
    slots = operands.query.shape[1]
    walk = _Walk(rule, aligned(tiling, slots, operands.key.shape[1]), interpret)
    out, total = walk.forward(*walk.lay(operands))
    return _heads_last(out)[:, :slots], _heads_last(total)[:, :slots, :, 0]


def backward(
    operands: Operands,
    tiling: Tiling,
    rule: Rule,
    d_bias: None,
    out: jax.Array,
    total: jax.Array,
    delta: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    """Gradients; see `looped.backward`."""
    slots, keys = operands.query.shape[1], operands.key.shape[1]
    walk = _Walk(rule, aligned(tiling, slots, keys), interpret)
    of_rows = out, jnp.stack([total, delta], axis=-1)  # slots behind them reach nothing, so that 0 does
    given = (_heads_first(pad(x, 0, walk.blocks.queries - slots)) for x in of_rows)
    d_query, d_key, d_value = walk.backward(*walk.lay(operands), *given)
    return _heads_last(d_query)[:, :slots], _heads_last(d_key)[:, :keys], _heads_last(d_value)[:, :keys], d_bias


@dataclasses.dataclass(frozen=True)
class _Walk:
    """The walks over the items of a piece. Arrays are query [b h k n], key and value [b h k m], the output's gradient
    [b h k n], the rows' log-sum-exp and delta [b h 2 n], the sides of queries [b|1 1 fields n] and of keys
    [b|1 1 m fields]."""

    rule: Rule
    blocks: Blocks
    interpret: bool

    def lay(self, operands: Operands) -> list[jax.Array]:
        """Query, key, value and the two sides as they are walked, with room for whole blocks."""
        queries, keys = operands.query.shape[1], operands.key.shape[1]
        padded = operands.pad(self.blocks.queries - queries, 0, self.blocks.keys - keys)
        of_query, of_key = padded.query_side, padded.key_side
        slot = jnp.where(of_key.index >= 0, jnp.arange(self.blocks.keys), -1)
        low, high = jnp.asarray(self.blocks.reach)[:, None]
        return [
            *(_heads_first(x) for x in (padded.query, padded.key, padded.value)),
            _fields([of_query.positions, low, high, of_query.segments], axis=1)[:, None],
            _fields([of_key.positions, slot, of_key.segments], axis=2)[:, None],
        ]

    def forward(self, query, key, value, query_side, key_side):
        """Output [b h k n] and log-sum-exp [b h 1 n]."""
        k = query.shape[2]
        return self._walk(
            functools.partial(_forward, self.rule),
            QUERY,
            (query, key, value, query_side, key_side),
            (_like(query, k, value.dtype), _like(query, 1)),
            (k, 1, 1),
        )

    def backward(self, query, key, value, query_side, key_side, out, rows):
        """Gradients of query, key and value, shaped as these, float32."""
        arrays = (query, key, value, query_side, key_side, out, rows)
        of_query, of_key = (_like(x, x.shape[2]) for x in (query, key))
        (d_query,) = self._walk(functools.partial(_backward_query, self.rule), QUERY, arrays, (of_query,))
        d_key, d_value = self._walk(functools.partial(_backward_key, self.rule), KEY, arrays, (of_key, of_key))
        return d_query, d_key, d_value

    def _walk(self, kernel, by, arrays, outs, sums=()):
        """All items by blocks of queries or of keys; `sums` are the widths of float32 scratch beside the outputs."""
        lengths = self.blocks.query_block, self.blocks.key_block

        def spec(x, of, axis=3):
            block = [None, None, *x.shape[2:]]
            block[axis] = lengths[of]

            def where(row, head, item, items):
                place = [row if x.shape[0] > 1 else 0, head if x.shape[1] > 1 else 0, 0, 0]
                place[axis] = unpacked(items[item])[of]
                return tuple(place)

            return pl.BlockSpec(tuple(block), where)

        def at_item(items, *refs):
            _, _, begins, ends = unpacked(items[pl.program_id(2)])
            kernel(begins == 1, ends == 1, *refs)

        return pl.pallas_call(
            at_item,
            out_shape=outs,
            grid_spec=pltpu.PrefetchScalarGridSpec(
                num_scalar_prefetch=1,
                grid=(*arrays[0].shape[:2], len(self.blocks.items)),
                in_specs=[spec(x, *slots) for x, slots in zip(arrays, SLOTS)],
                out_specs=tuple(spec(x, by) for x in outs),
                scratch_shapes=[pltpu.VMEM((width, lengths[by]), jnp.float32) for width in sums],
            ),
            compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
            interpret=self.interpret,
        )(self.blocks.packed(by), *arrays)


def _forward(rule, begins, ends, query, key, value, query_side, key_side, out, total, values, totals, maxima):
    @pl.when(begins)
    def _():
        values[...], totals[...] = jnp.zeros_like(values), jnp.zeros_like(totals)
        maxima[...] = jnp.full_like(maxima, FLOOR)

    logits = jnp.where(_allowed(rule, query_side, key_side), _dot(key[...], query[...], ROWS), MASKED)
    highest = jnp.maximum(maxima[...], logits.max(0, keepdims=True))
    weights, old = jnp.exp(logits - highest), jnp.exp(maxima[...] - highest)
    values[...] = values[...] * old + _dot(value[...], weights.astype(value.dtype), INNER)
    totals[...] = totals[...] * old + weights.sum(0, keepdims=True)
    maxima[...] = highest

    @pl.when(ends)
    def _():
        seen = totals[...] > 0
        divisor = jnp.where(seen, totals[...], 1.0)
        out[...] = (values[...] / divisor).astype(out.dtype)
        total[...] = jnp.where(seen, maxima[...] + jnp.log(divisor), MASKED)


def _backward_query(rule, begins, _, query, key, value, query_side, key_side, out, rows, d_query):
    @pl.when(begins)
    def _():
        d_query[...] = jnp.zeros_like(d_query)

    _, d_logits = _again(rule, query, key, value, query_side, key_side, out, rows)
    d_query[...] += _dot(key[...], d_logits.astype(key.dtype), INNER)


def _backward_key(rule, begins, _, query, key, value, query_side, key_side, out, rows, d_key, d_value):
    @pl.when(begins)
    def _():
        d_key[...], d_value[...] = jnp.zeros_like(d_key), jnp.zeros_like(d_value)

    weights, d_logits = _again(rule, query, key, value, query_side, key_side, out, rows)
    d_key[...] += _dot(query[...], d_logits.astype(query.dtype), LANES)
    d_value[...] += _dot(out[...], weights.astype(out.dtype), LANES)


def _again(rule, query, key, value, query_side, key_side, out, rows):
    """An item's weights and the gradient of its logits, float32 [m q]: Dao et al. 2022, algorithm 4."""
    logits = _dot(key[...], query[...], ROWS)
    weights = jnp.where(_allowed(rule, query_side, key_side), jnp.exp(logits - rows[0:1]), 0.0)
    return weights, weights * (_dot(value[...], out[...], ROWS) - rows[1:2])


def _allowed(rule, query_side, key_side):
    """Which pairs of an item meet, booleans [m q]."""
    position, low, high, *segment = (query_side[i : i + 1] for i in range(query_side.shape[0]))
    key_position, slot, *key_segment = (key_side[:, i : i + 1] for i in range(key_side.shape[1]))
    allowed = rule.pattern.allows(position, key_position) & (slot >= low) & (slot < high)
    for of_query, of_key in zip(segment, key_segment):
        allowed = allowed & (of_query == of_key) & (of_key > 0)
    return allowed


def _dot(x, y, over):
    return jax.lax.dot_general(x, y, (over, ((), ())), preferred_element_type=jnp.float32)


def _fields(fields, axis):
    """What is known of slots, each [b|1 slots] or None, in one int32 array."""
    fields = [field for field in fields if field is not None]
    shape = jnp.broadcast_shapes(*(field.shape for field in fields))
    return jnp.stack([jnp.broadcast_to(field, shape).astype(jnp.int32) for field in fields], axis)


def _heads_first(x):
    """[b slots h] or [b slots h k] → [b h k slots]."""
    return jnp.moveaxis(x, 1, -1)


def _heads_last(x):
    """[b h k slots] → [b slots h k]."""
    return jnp.moveaxis(x, -1, 1)


def _like(x, width, dtype=jnp.float32):
    """An array [b h width slots] like x, for its shape, dtype and the axes of a `shard_map` that it varies over."""
    return jax.eval_shape(lambda x: x[:, :, :width].astype(dtype), x)
