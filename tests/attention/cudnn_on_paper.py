"""What cuDNN's attention primitives compute, in einsums: the same operands, parameters and results, on any device.

What cuDNN leaves undefined is NaN here. Rows of packed documents follow XLA: the documents of all rows are the batch,
each found by its offset in elements, and the log-sum-exp is [documents, heads, longest row].
"""

import jax.numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo as cudnn


def forward(
    query,
    key,
    value,
    bias,
    query_lengths,
    key_lengths,
    query_offsets,
    key_offsets,
    _,
    __,
    *,
    variadic_args,
    mask_type,
    sliding_window_length,
    scale,
    seed,
    dropout_rate,
    layout,
    is_training,
    score_mod=None,
):
    assert (is_training, layout, dropout_rate, score_mod) == (True, cudnn.AttentionLayout.BTNH.value, 0.0, None)
    laid = _Laid(query, key, query_lengths, key_lengths, query_offsets, key_offsets)
    masked = mask_type, sliding_window_length, laid
    logits = _logits(laid.queries(query), laid.keys(key), bias if variadic_args[0] else None, scale, *masked)
    total = _log_sum_exp(logits)
    out = jnp.einsum("bhnm,bmhk->bnhk", jnp.exp(logits - total[..., None]), laid.keys(value).astype(jnp.float32))
    return laid.back(out, query), jnp.where(laid.real[:, None], total, jnp.nan)


def backward(
    query,
    key,
    value,
    bias,
    query_lengths,
    key_lengths,
    query_offsets,
    key_offsets,
    _,
    __,
    total,
    out,
    d_out,
    *,
    variadic_args,
    mask_type,
    sliding_window_length,
    scale,
    seed,
    dropout_rate,
    layout,
    score_mod=None,
):
    laid = _Laid(query, key, query_lengths, key_lengths, query_offsets, key_offsets)
    biased = variadic_args[0]
    masked = mask_type, sliding_window_length, laid
    q, k, v, out, d_out = (
        f(x).astype(jnp.float32)
        for f, x in zip(
            (laid.queries, laid.keys, laid.keys, laid.queries, laid.queries), (query, key, value, out, d_out)
        )
    )
    assert (total.dtype, total.shape) == (jnp.float32, (q.shape[0], *q.shape[2:0:-1]))
    logits = _logits(q, k, bias if biased else None, scale, *masked)
    weights = jnp.exp(logits - total[..., None])
    weights = jnp.where(laid.real[:, None, :, None], weights, 0.0)  # of rows that are not there nothing is read
    d_out, out = (jnp.where(laid.real[:, :, None, None], x, 0.0) for x in (d_out, out))
    delta = jnp.einsum("bnhk,bnhk->bhn", out, d_out)
    d_logits = weights * (jnp.einsum("bnhk,bmhk->bhnm", d_out, v) - delta[..., None])
    d_query = jnp.einsum("bhnm,bmhk->bnhk", d_logits, k) * scale
    d_key = jnp.einsum("bhnm,bnhk->bmhk", d_logits, q) * scale
    d_value = jnp.einsum("bhnm,bnhk->bmhk", weights, d_out)
    gradients = laid.back(d_query, query), laid.back_keys(d_key, key), laid.back_keys(d_value, value)
    if not variadic_args[1]:
        return gradients
    summed = tuple(axis for axis in (0, 1) if bias.shape[axis] == 1)
    return *gradients, d_logits.sum(summed, keepdims=True).astype(bias.dtype)


class _Laid:
    """Rows, or the documents of all rows."""

    def __init__(self, query, key, query_lengths, key_lengths, query_offsets, key_offsets):
        self.packed = query_offsets.ndim == 2
        b, n, h, k = query.shape
        if self.packed:
            query_lengths, key_lengths, query_offsets, key_offsets = cudnn._fix_seqlen_offsets(
                query_lengths, key_lengths, query_offsets, key_offsets, query, key
            )
        lengths = [x.reshape(-1) if x.size else None for x in (query_lengths, key_lengths)]
        self.padded = lengths[0] is not None
        self.real, self.real_keys = (
            jnp.ones((b, x.shape[1]), bool) if length is None else jnp.arange(x.shape[1]) < length[:, None]
            for length, x in zip(lengths, (query, key))
        )
        if self.packed:
            documents = b * (query_offsets.shape[1] - 1)
            self.at, self.at_keys = (
                jnp.where(
                    real, x.reshape(-1)[:documents, None] // (h * k) + jnp.arange(real.shape[1]), b * real.shape[1]
                )
                for x, real in ((query_offsets, self.real), (key_offsets, self.real_keys))
            )

    def queries(self, x):
        return self._taken(x, self.at) if self.packed else x

    def keys(self, x):
        return self._taken(x, self.at_keys) if self.packed else x

    def back(self, x, like):
        return self._put(x, like, self.at if self.packed else None, self.real)

    def back_keys(self, x, like):
        return self._put(x, like, self.at_keys if self.packed else None, self.real_keys)

    def _taken(self, x, at):
        return x.reshape(-1, *x.shape[2:]).at[at].get(mode="fill", fill_value=0)

    def _put(self, x, like, at, real):
        if at is None:
            return jnp.where(real[:, :, None, None], x, jnp.nan).astype(like.dtype)
        flat = jnp.full((like.shape[0] * like.shape[1], *like.shape[2:]), jnp.nan)
        return flat.at[at].set(x, mode="drop").reshape(like.shape).astype(like.dtype)


def _logits(query, key, bias, scale, mask_type, window, laid):
    logits = jnp.einsum("bnhk,bmhk->bhnm", *(x.astype(jnp.float32) for x in (query, key))) * scale
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    n, m = logits.shape[2:]
    i, j = jnp.arange(n)[:, None], jnp.arange(m)
    seen = jnp.broadcast_to(laid.real_keys[:, None, None, :], logits.shape)
    kinds = cudnn.MaskType
    assert (mask_type in (kinds.PADDING, kinds.PADDING_CAUSAL)) == laid.padded
    if mask_type in (kinds.CAUSAL, kinds.PADDING_CAUSAL):
        seen = seen & (j <= i)
    if window is not None:
        assert mask_type in (kinds.CAUSAL, kinds.PADDING_CAUSAL)
        assert n <= m  # a cuDNN without it has no such window
        seen = seen & (i - j < window)
    return jnp.where(seen, logits, -jnp.inf)


def _log_sum_exp(logits):
    top = jnp.maximum(logits.max(-1, keepdims=True), -1e30)
    return (top + jnp.log(jnp.exp(logits - top).sum(-1, keepdims=True)))[..., 0]
