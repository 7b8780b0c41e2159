"""JAX's splash attention on TPUs, by its parts that are not public: its backward pass takes the output and log-sum-exp
of the *whole* row, which may span several calls.

For programs on one device: no compiler splits a kernel by itself. Run in interpret mode only: no TPU has run it yet.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from t2t.attention.kernels.tiles import MASKED

BLOCKS = (512, 256, 128)  # queries or keys; multiples of a TPU's 128 lanes
INTERPRET = False  # whether kernels are interpreted, which any device can do


def takes(kind) -> bool:
    """Whether there is a kernel for a kind of call (`fused.Kind`)."""
    sixteen = kind.dtype in (jnp.bfloat16, jnp.float16)
    return sixteen and not kind.biased and not kind.packed and kind.width % 64 == 0 and jax.device_count() == 1


def forward(query, key, value, *, causal, window, bias=None, key_lengths=None, documents=None):
    """The output [b n h k] and the log-sum-exp float32 [b h n]; see `cudnn.forward`."""
    n, laid = query.shape[1], _lay(query, key, value)
    segments = _segments(*laid[:2], key.shape[1], causal, key_lengths)
    kernel = _kernel(*_sizes(*laid[:2]), causal, window, INTERPRET)
    out, (total,) = jax.vmap(kernel)(*laid, segments)
    return jnp.swapaxes(out, 1, 2)[:, :n], total[:, :, :n]


def backward(query, key, value, out, total, d_out, *, causal, window, bias=None, key_lengths=None, documents=None):
    """Gradients of query, key and value, and None; see `cudnn.backward`."""
    n, m, laid = query.shape[1], key.shape[1], _lay(query, key, value)
    segments = _segments(*laid[:2], m, causal, key_lengths)
    kernel = _kernel(*_sizes(*laid[:2]), causal, window, INTERPRET)
    total = jnp.pad(total, ((0, 0), (0, 0), (0, -n % BLOCKS[-1])), constant_values=-MASKED)  # these weigh nothing

    def row(query, key, value, segments, out, total, d_out):
        kept = query, key, value, segments, None, out, total, kernel.dq_mask_info, kernel.dkv_mask_info
        static = kernel.kwargs["mask_value"], False, kernel.kwargs["block_sizes"], None, kernel.kwargs["mask_function"]
        return splash._splash_attention_bwd(False, *static, None, INTERPRET, kept, d_out)[3:6]

    gradients = jax.vmap(row)(*laid, segments, _heads_first(out), total, _heads_first(d_out))
    d_query, d_key, d_value = (jnp.swapaxes(g, 1, 2) for g in gradients)
    return d_query[:, :n], d_key[:, :m], d_value[:, :m], None


@functools.lru_cache(maxsize=128)
def _kernel(heads: int, n: int, m: int, causal: bool, window: int | None, interpret: bool):
    if causal:
        mask = masks.LocalMask((n, m), (n if window is None else window - 1, 0), 0)
    else:
        mask = masks.FullMask((n, m))
    block, key_block = (next(size for size in BLOCKS if length % size == 0) for length in (n, m))
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=key_block,
        block_q_dkv=block,
        block_kv_dkv=key_block,
        block_q_dq=block,
        block_kv_dq=key_block,
    )
    with jax.ensure_compile_time_eval():
        return splash.make_splash_mha(
            masks.MultiHeadMask([mask] * heads),
            block_sizes=sizes,
            head_shards=1,
            q_seq_shards=1,
            save_residuals=True,
            interpret=interpret,
        )


def _lay(*arrays):
    return tuple(map(_heads_first, arrays))


def _heads_first(x):
    """[b n h k] → [b h n k], padded to whole blocks."""
    return jnp.pad(jnp.swapaxes(x, 1, 2), ((0, 0), (0, 0), (0, -x.shape[1] % BLOCKS[-1]), (0, 0)))


def _sizes(query, key):
    return query.shape[1], query.shape[2], key.shape[2]


def _segments(query, key, m, causal, key_lengths):
    """Keys that queries would see and are not there are of another segment; None where there are none."""
    b, n, padded = query.shape[0], query.shape[2], key.shape[2]
    if key_lengths is None and (causal or padded == m):
        return None
    lengths = jnp.full((b,), m) if key_lengths is None else key_lengths
    real = jnp.arange(padded) < lengths[:, None]
    return splash.SegmentIds(jnp.ones((b, n), jnp.int32), real.astype(jnp.int32))
