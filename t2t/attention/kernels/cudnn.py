"""cuDNN's fused attention on NVIDIA GPUs, through the primitives of JAX that are not public: only they return the
log-sum-exp in float32, and take that of the *whole* row in the backward pass, which may span several calls.

cuDNN computes softmax(q·k + bias) v and its gradients tile by tile in on-chip memory (Dao 2023, FlashAttention-2).
"""

import inspect

import jax
import jax.numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo as cudnn

from t2t.attention.kernels.tiles import MASKED
from t2t.attention.packing import Documents

TILE = 128  # with a bias, lengths that are no multiple gave NaN (cuDNN 9 on Hopper)
NEVER = {jnp.dtype(jnp.bfloat16): -(2.0**40), jnp.dtype(jnp.float16): -(2.0**15)}  # the bias of keys not there
MOST_WIDTH = 128  # of a head, on every generation
# JAX 0.12 knows functions of logits, which are not used here.
NEWER = {"score_mod": None} if "score_mod" in inspect.signature(cudnn._dot_product_attention_fwd).parameters else {}


def takes(kind) -> bool:
    """Whether there is a kernel for a kind of call (`fused.Kind`)."""
    return kind.dtype in (jnp.bfloat16, jnp.float16) and kind.width % 8 == 0 and kind.width <= MOST_WIDTH


def forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    causal: bool,
    window: int | None,
    bias: jax.Array | None = None,
    key_lengths: jax.Array | None = None,
    documents: Documents | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Attention of n queries [b n h k] over m keys [b m h k], scaled already.

    Args:
      causal: whether query i sees keys j ≤ i alone.
      window: … and i − j < window; only with `causal`.
      bias: [1|b 1|h n m], in the dtype of the query.
      key_lengths: int32 [b], how many keys of a row there are, at least 1; all where None.
      documents: of packed rows, each of which sees only itself.

    Returns:
      The output [b n h k], and the log-sum-exp float32 [b h n] of each query's logits. Of queries in no document they
      are anything.
    """
    n = query.shape[1]
    if bias is not None:
        query, key, value, bias = _whole_tiles(query, key, value, bias)
    kind, arrays = _kind(query, key, causal, window, bias, key_lengths, documents)
    out, total = cudnn._dot_product_attention_fwd_p_wrapper.bind(query, key, value, *arrays, **kind, is_training=True)
    if documents is not None:
        return out, documents.gather(total)
    return out[:, :n], total[:, :, :n]


def backward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    out: jax.Array,
    total: jax.Array,
    d_out: jax.Array,
    *,
    causal: bool,
    window: int | None,
    bias: jax.Array | None = None,
    key_lengths: jax.Array | None = None,
    documents: Documents | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
    """Gradients of query, key, value and bias, in their dtypes.

    Args:
      out: [b n h k], the output of the whole row.
      total: float32 [b h n], the log-sum-exp of the whole row.
      d_out: [b n h k], the gradient of `out`.
    """
    n, m = query.shape[1], key.shape[1]
    given = None if bias is None else bias.shape
    if bias is not None:
        query, key, value, bias = _whole_tiles(query, key, value, bias)
        more = query.shape[1] - n
        out, d_out = (jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0))) for x in (out, d_out))
        total = jnp.pad(total, ((0, 0), (0, 0), (0, more)), constant_values=-MASKED)  # these weigh nothing
    kind, arrays = _kind(query, key, causal, window, bias, key_lengths, documents)
    if documents is not None:
        total = documents.scatter(total)
    d_query, d_key, d_value, *d_bias = cudnn._dot_product_attention_bwd_p_wrapper.bind(
        query, key, value, *arrays, total, out, d_out, **kind
    )
    d_bias = d_bias[0][:, :, : given[2], : given[3]] if d_bias else None
    return d_query[:, :n], d_key[:, :m], d_value[:, :m], d_bias


def _kind(query, key, causal, window, bias, key_lengths, documents):
    """Static parameters of the primitives, and their operands between value and log-sum-exp."""
    none = jnp.zeros(0, query.dtype)
    query_lengths = query_starts = key_starts = none
    padded = key_lengths is not None or documents is not None
    if documents is not None:
        query_lengths, key_lengths = documents.query_lengths, documents.key_lengths
        query_starts, key_starts = (
            jnp.pad(starts, ((0, 0), (0, 1)), constant_values=-1)
            for starts in (documents.query_starts, documents.key_starts)
        )
    elif padded:
        query_lengths = jnp.zeros_like(key_lengths) + query.shape[1]  # laid over devices as these are
    masks = cudnn.MaskType
    mask = {
        (False, False): masks.NO_MASK,
        (True, False): masks.CAUSAL,
        (False, True): masks.PADDING,
        (True, True): masks.PADDING_CAUSAL,
    }[causal, padded]
    kind = {
        "scale": 1.0,
        "seed": 0,
        "dropout_rate": 0.0,
        "variadic_args": (bias is not None, bias is not None),
        "mask_type": mask,
        "layout": cudnn.AttentionLayout.BTNH.value,
        "sliding_window_length": window,
        **NEWER,
    }
    key_lengths = none if key_lengths is None else key_lengths
    bias = none if bias is None else bias
    return kind, (bias, query_lengths, key_lengths, query_starts, key_starts, none, none)


def _whole_tiles(query, key, value, bias):
    """All padded to whole tiles; keys that are not there are never seen."""
    more, more_keys = -query.shape[1] % TILE, -key.shape[1] % TILE
    query = jnp.pad(query, ((0, 0), (0, more), (0, 0), (0, 0)))
    key, value = (jnp.pad(x, ((0, 0), (0, more_keys), (0, 0), (0, 0))) for x in (key, value))
    bias = jnp.pad(bias, ((0, 0), (0, 0), (0, more), (0, 0)))
    never = NEVER[query.dtype]
    return query, key, value, jnp.pad(bias, ((0, 0), (0, 0), (0, 0), (0, more_keys)), constant_values=never)
