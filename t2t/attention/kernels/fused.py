"""The device's own fused kernels for dense calls: which there are, whether they work here, and how calls reach them.

Whether a kind of call works is tried once in a process, forward and backward, on the device and against the portable
kernel; where it does not, that is logged once and the portable kernel computes such calls.
"""

import dataclasses
import functools
import importlib
import logging
from types import ModuleType
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.atoms import Bidirectional, Causal, Local
from t2t.attention.calls import Call
from t2t.attention.kernels import tiles as portable
from t2t.attention.kernels.offset_bias import reach
from t2t.attention.kernels.tiles import MASKED, ArrayBias, Rule, Side, Tiles
from t2t.attention.packing import Documents, documents

DEVICES = {"gpu": "t2t.attention.kernels.cudnn", "tpu": "t2t.attention.kernels.splash"}
MOST_BIAS = 2**28  # bytes of a bias that is made from positions for one call; beyond it, it is made tile by tile
MOST_DOCUMENTS = 32  # in a packed row; the log-sum-exp of a packed call is as many times as large
MOST_OFFSET = 2**31  # elements of queries that a packed call can address
MOST_GROUPS = 2**16  # of all rows, each a place in a GPU's grid
PROBE = 160  # positions: more than a tile of any kernel, and no multiple of one

log = logging.getLogger(__name__)


@flax.struct.dataclass
class Rows:
    """What is known of rows with segments when their calls run.

    Attributes:
      queries, keys: bool [b n], [b m], which are of some document.
      key_lengths: int32 [b], where keys behind that many are padding that queries would see.
      documents: where there may be more than one in a row.
    """

    queries: jax.Array
    keys: jax.Array
    key_lengths: jax.Array | None = None
    documents: Documents | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a kernel must be able to do."""

    dtype: Any
    width: int
    causal: bool
    windowed: bool
    biased: bool = False
    lengths: bool = False
    packed: bool = False


def device() -> ModuleType | None:
    """The kernels of the default device, or None where it has none."""
    chosen = jax.config.jax_default_device
    return _kernels_of(jax.default_backend() if chosen is None else getattr(chosen, "platform", chosen))


@functools.cache
def _kernels_of(platform: str) -> ModuleType | None:
    name = DEVICES.get(platform)
    if name is None:
        return None
    try:
        return importlib.import_module(name)
    except Exception as error:  # of a module of JAX that is not public, or is not there
        log.warning("No fused attention on this device, the portable kernels are used: %s: %s", name, error)
        return None


def usable(call: Call, query: jax.Array, bias: Any = None, *, lengths: bool = False, packed: bool = False) -> bool:
    """Whether the device has a kernel for a call, and it works.

    Args:
      query: [b n h k], for its shape and dtype.
      bias: what makes the bias, or None.
      lengths: whether only some of a row's keys count.
      packed: whether rows hold several documents.
    """
    kernels, (b, _, h, width) = device(), query.shape
    if kernels is None or b * call.queries.count >= MOST_GROUPS:
        return False
    biased = bias is not None and not shifts(call, bias)
    if biased:
        made = 0 if isinstance(bias, ArrayBias) else h * call.queries.width * call.keys.width * query.dtype.itemsize
        alike = call.queries.count == 1 or (hasattr(bias, "of_distances") and call.alike)
        if not alike or made > MOST_BIAS or (made and call.window):
            return False
    if packed and (not call.whole or bias is not None or query.size >= MOST_OFFSET):
        return False
    lengths = lengths or call.key_lengths is not None
    kind = Kind(query.dtype, width, call.causal, call.window is not None, biased, lengths, packed)
    return kernels.takes(kind) and works(kernels, kind)


def shifts(call: Call, bias: Any) -> bool:
    """Whether a bias is one number a head for all pairs of a call: then it only shifts the log-sum-exp."""
    return reach(bias) is not None and call.beyond(reach(bias))


def forward(
    call: Call, query: jax.Array, key: jax.Array, value: jax.Array, bias: Any = None, rows: Rows | None = None
) -> tuple[jax.Array, jax.Array]:
    """A call's share of attention over arrays as they are: [b n h k], scaled, and two of [b m h k].

    Returns:
      The output [b n h k] and the log-sum-exp float32 [b n h]; 0 and MASKED for queries that are not in the call.
    """
    made, _ = _bias(call, bias, query.dtype)
    alone = shifts(call, bias)
    laid = _fold(call.queries, query), _fold(call.keys, key), _fold(call.keys, value)
    out, total = device().forward(*laid, **_options(call, len(query), None if alone else made, rows))
    total = jnp.swapaxes(total, 1, 2) + (made if alone else 0.0)
    out, total = _unfold(call.queries, out), _unfold(call.queries, total)
    return call.queries.undo(out), call.queries.undo(total, MASKED)


def backward(
    call: Call,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    out: jax.Array,
    total: jax.Array,
    d_out: jax.Array,
    bias: Any = None,
    rows: Rows | None = None,
    own_total: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """A call's share of the gradients of query, key and value, float32, and of the bias, a pytree as this.

    Args:
      out, d_out: [b n h k], the output of whole rows, and its gradient.
      total: float32 [b n h], the log-sum-exp of whole rows.
      own_total: what `forward` gave, where the bias shifts it.
    """
    made, pull = _bias(call, bias, query.dtype)
    alone = shifts(call, bias)
    laid = _fold(call.queries, query), _fold(call.keys, key), _fold(call.keys, value), _fold(call.queries, out)
    # A slot with no query weighs nothing.
    of_rows = jnp.swapaxes(_fold(call.queries, total - made if alone else total, -MASKED), 1, 2)
    options = _options(call, len(query), None if alone else made, rows)
    *gradients, d_made = device().backward(*laid, of_rows, _fold(call.queries, d_out), **options)
    gradients = [
        span.undo(_unfold(span, gradient)).astype(jnp.float32)
        for span, gradient in zip((call.queries, call.keys, call.keys), gradients)
    ]
    if alone:  # the sum of p (dp − delta) over the call's pairs, by what is known of its keys and of its queries
        delta = (out.astype(jnp.float32) * d_out.astype(jnp.float32)).sum(-1)
        of_keys = (gradients[2] * value.astype(jnp.float32)).sum((0, 1, 3))
        d_made = of_keys - (jnp.exp(own_total - total) * delta).sum((0, 1))
    return *gradients, None if bias is None else pull(d_made)[0]


def _fold(span, x, fill=0.0):
    """[b n …] → [b·groups slots …]."""
    return span.lay(x, fill).reshape(x.shape[0] * span.count, span.width, *x.shape[2:])


def _unfold(span, x):
    """[b·groups slots …] → [b groups·slots …]."""
    return x.reshape(x.shape[0] // span.count, span.count * span.width, *x.shape[2:])


def _options(call: Call, b: int, bias, rows: Rows | None) -> dict[str, Any]:
    key_lengths = None if rows is None else rows.key_lengths
    if call.key_lengths is not None:
        key_lengths = jnp.tile(jnp.asarray(call.key_lengths), b)
    return {
        "causal": call.causal,
        "window": call.window,
        "bias": bias,
        "key_lengths": key_lengths,
        "documents": None if rows is None else rows.documents,
    }


def _bias(call: Call, bias, dtype):
    """The bias of a call as an array, or [h] where it only shifts, and what pulls its gradient back."""
    if bias is None:
        return None, None
    spans = call.queries, call.keys

    def make(bias):
        if isinstance(bias, ArrayBias):
            made = bias.array.astype(dtype)
            for axis, span in zip((2, 3), spans):
                made = jax.lax.slice_in_dim(made, span.start, span.stop, axis=axis)
                made = jnp.flip(made, axis) if span.backwards else made
            return made
        queries, keys = (jnp.asarray(span.positions[: span.width], jnp.int32) for span in spans)  # of the first group
        if shifts(call, bias):
            return bias.of_distances(queries[0] - keys[0]).astype(jnp.float32)
        if hasattr(bias, "of_distances"):
            return bias.of_distances(queries[:, None] - keys)[None].astype(dtype)
        return bias(queries[None], keys[None]).astype(dtype)

    return jax.vjp(make, bias)


@functools.cache
def works(kernels: ModuleType, kind: Kind) -> bool:
    """Whether the kernels do what a kind of call asks, forward and backward, as the portable kernel does."""
    try:
        with jax.ensure_compile_time_eval():
            apart = _furthest_apart(kernels, kind)
    except Exception as error:  # whatever compiler, driver or library has to say
        reason = f"{type(error).__name__}: {str(error)[:500]}"
    else:
        if apart <= 3e-2:
            return True
        reason = f"its result is off by {apart:.2g} of the greatest number"
    log.warning("Fused attention does not work here, the portable kernels compute such calls: %s: %s", kind, reason)
    return False


def _furthest_apart(kernels: ModuleType, kind: Kind) -> float:
    """The greatest difference from the portable kernel, relative to each array's greatest number."""
    b, h, n, m, window = 2, 2, PROBE, PROBE if kind.causal or kind.packed else PROBE + 64, PROBE // 3
    generator = np.random.default_rng(0)

    def normal(*shape, dtype=kind.dtype):
        return jax.device_put(generator.normal(size=shape).astype(dtype))

    segments = np.ones((b, m), np.int32)
    if kind.lengths:
        segments[1, m // 2 :] = 0
    if kind.packed:
        segments[0, m // 3 :], segments[1, :7], segments[1, m // 2 :] = 2, 0, 0
    seen = segments[:, :n] if kind.packed else np.ones((b, n), np.int32)
    seen, segments = jax.device_put((seen, segments))
    args = [normal(b, n, h, kind.width), normal(b, m, h, kind.width), normal(b, m, h, kind.width)]
    other_out, d_out = normal(b, n, h, kind.width), normal(b, n, h, kind.width)
    other_total = normal(b, h, n, dtype=np.float32) + 4.0
    bias = normal(1, h, n, m) if kind.biased else None

    def fused(query, key, value, bias):
        options = {"causal": kind.causal, "window": window if kind.windowed else None, "bias": bias}
        options["key_lengths"] = (segments > 0).sum(1, dtype=jnp.int32) if kind.lengths else None
        packed = documents(seen, segments, MOST_DOCUMENTS, aligned=True)[0]
        options["documents"] = packed if kind.packed else None
        out, total = kernels.forward(query, key, value, **options)
        whole_out, whole_total = _joined(out, total, other_out, other_total)
        gradients = kernels.backward(query, key, value, whole_out, whole_total, d_out, **options)
        return out, jnp.swapaxes(total, 1, 2), gradients

    def plain(query, key, value, bias):
        places = (jnp.arange(n, dtype=jnp.int32)[None, None], jnp.arange(m, dtype=jnp.int32)[None, None])
        sides = (Side(p, p, s[:, None]) for p, s in zip(places, (seen, segments)))
        query, key, value = (jnp.swapaxes(x, 1, 2)[:, :, None] for x in (query, key, value))
        of_tile = Tiles(query, key, value, *sides, None, jnp.zeros((), jnp.int32))
        pattern = Causal() if kind.causal else Bidirectional()
        rule = Rule(pattern & Local(window) if kind.windowed else pattern, None, False, 0.0)
        bias = None if bias is None else ArrayBias(bias)
        values, totals, maxima = portable.forward(of_tile, bias, None, rule)
        out, total = jnp.swapaxes((values / totals[..., None])[:, :, 0], 1, 2), (maxima + jnp.log(totals))[:, :, 0]
        whole_out, whole_total = _joined(out, total, other_out, other_total)
        delta = (whole_out.astype(jnp.float32) * d_out.astype(jnp.float32)).sum(-1)
        *gradients, d_bias = portable.backward(
            of_tile,
            bias,
            None,
            rule,
            jax.tree.map(jnp.zeros_like, bias),
            jnp.swapaxes(d_out, 1, 2)[:, :, None],
            whole_total[:, :, None],
            jnp.swapaxes(delta, 1, 2)[:, :, None],
        )
        gradients = [jnp.swapaxes(g[:, :, 0], 1, 2) for g in gradients]
        return out, jnp.swapaxes(total, 1, 2), (*gradients, None if bias is None else d_bias.array)

    real = {n: seen, m: segments}

    def apart(a, b):
        a, b = (x.astype(jnp.float32) for x in (a, b))
        if a.shape[1] in real and not kind.biased:  # what is not there is anything
            there = real[a.shape[1]].reshape(a.shape[:2] + (1,) * (a.ndim - 2)) > 0
            a, b = jnp.where(there, a, 0.0), jnp.where(there, b, 0.0)
        return jnp.abs(a - b).max() / jnp.maximum(jnp.abs(b).max(), 1.0)

    @jax.jit
    def both(args, bias):
        return jnp.stack(jax.tree.leaves(jax.tree.map(apart, fused(*args, bias), plain(*args, bias))))

    return float(np.max(jax.device_get(both(args, bias))))


def _joined(out, total, other_out, other_total):
    """An output [b n h k] and log-sum-exp [b h n] joined with others, in the dtype of the others."""
    whole = jnp.logaddexp(total, other_total)
    weights = (jnp.swapaxes(jnp.exp(t - whole), 1, 2)[..., None] for t in (total, other_total))
    joined = sum(w * o.astype(jnp.float32) for w, o in zip(weights, (out, other_out)))
    return joined.astype(other_out.dtype), whole
