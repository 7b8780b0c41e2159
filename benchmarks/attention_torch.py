"""The peers on PyTorch, in a process of their own, so that no library here meets JAX. Run by `attention_peers.py`.

It reads one JSON request a line and answers with one: `{"prepare": {...}}` builds a case, runs it twice (compilation
among them) and answers with its memory; `{"run": true}` runs the last prepared case once and answers with its seconds.
Every answer may be `{"error": "..."}` instead.
"""

import ctypes
import json
import pathlib
import sys
import time
from importlib.metadata import version

import torch
from torch import nn

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
DTYPE = torch.bfloat16 if GPU else torch.float32


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE, dtype=DTYPE)


def heads_first(case: dict) -> list[torch.Tensor]:
    """Query, key and value as PyTorch wants them, [b h n k]."""
    shape = (case["batch"], case["heads"], case["n"], case["head_width"])
    return [normal(*shape).requires_grad_(case["backward"]) for _ in range(3)]


def differentiated(function, leaves: list[torch.Tensor], backward: bool):
    """The function without gradients, or followed by the gradients of `leaves` for a fixed cotangent."""
    if not backward:

        def forward():
            with torch.inference_mode():
                return function()

        return forward
    with torch.no_grad():
        cotangent = torch.randn_like(function())

    def both():
        return torch.autograd.grad(function(), leaves, cotangent, allow_unused=True)

    return both


def flex(case: dict):
    """`flex_attention` under torch.compile with a block mask of 128 × 128."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def causal(b, h, i, j):
        return j <= i

    def window(b, h, i, j):
        return (j <= i) & (i - j < 128)

    def strided(b, h, i, j):
        return (j <= i) & ((i - j < 128) | ((i - j) % 128 == 0))

    def fixed(b, h, i, j):
        return (j <= i) & ((i // 128 == j // 128) | (j % 128 >= 96))

    torch._dynamo.reset()  # or the case before would count as one of its recompilations
    mask = {"causal": causal, "local": window, "strided": strided, "fixed": fixed}[case["pattern"]]
    block_mask = create_block_mask(mask, None, None, case["n"], case["n"], device=DEVICE)
    compiled = torch.compile(flex_attention)
    leaves = heads_first(case)
    return differentiated(lambda: compiled(*leaves, block_mask=block_mask), leaves, case["backward"])


def sdpa(case: dict):
    """`scaled_dot_product_attention`, causal; on a GPU with its cuDNN backend and no other."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    leaves = heads_first(case)

    def function():
        if not GPU:
            return nn.functional.scaled_dot_product_attention(*leaves, is_causal=True)
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return nn.functional.scaled_dot_product_attention(*leaves, is_causal=True)

    return differentiated(function, leaves, case["backward"])


def longformer(case: dict):
    """The self-attention layer of Hugging Face's Longformer, its first token global."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    width, n = case["heads"] * case["head_width"], case["n"]
    config = LongformerConfig(
        hidden_size=width, num_attention_heads=case["heads"], num_hidden_layers=1,
        attention_window=[2 * case["window"]], attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    layer = LongformerSelfAttention(config, 0).to(DEVICE, DTYPE)
    hidden = normal(case["batch"], n, width).requires_grad_(case["backward"])
    mask = torch.zeros(case["batch"], n, device=DEVICE, dtype=DTYPE)
    mask[:, : case["globals"]] = 10_000.0
    masked, chosen = mask < 0, mask > 0

    def function():
        return layer(hidden, mask, masked, chosen, case["globals"] > 0)[0]

    return differentiated(function, [hidden, *layer.parameters()], case["backward"])


def big_bird(case: dict):
    """The block-sparse self-attention layer of Hugging Face's BigBird."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    width, n = case["heads"] * case["head_width"], case["n"]
    config = BigBirdConfig(
        hidden_size=width, num_attention_heads=case["heads"], num_random_blocks=case["random"],
        block_size=case["block"], max_position_embeddings=n, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    layer = BigBirdBlockSparseAttention(config, seed=0).to(DEVICE, DTYPE)
    hidden = normal(case["batch"], n, width).requires_grad_(case["backward"])
    ones = torch.ones(case["batch"], n, device=DEVICE, dtype=DTYPE)
    blocked, band, of_query, of_key = BigBirdModel.create_masks_for_block_sparse_attn(ones, case["block"])

    def function():
        return layer(hidden, band, of_query, of_key, blocked, blocked)[0]

    return differentiated(function, [hidden, *layer.parameters()], case["backward"])


def x_transformers(case: dict):
    """A decoder of x-transformers on flash attention; with `memory`, evaluating a segment after that many states."""
    from x_transformers import Decoder, TransformerWrapper

    memory = case.get("memory", 0)
    width = case["heads"] * case["head_width"]
    model = TransformerWrapper(
        num_tokens=256, max_seq_len=case["n"], max_mem_len=memory, use_abs_pos_emb=not memory,
        attn_layers=Decoder(
            dim=width, depth=case["layers"], heads=case["heads"], attn_dim_head=case["head_width"], attn_flash=True,
            rotary_pos_emb=bool(memory), ff_mult=4,
        ),
    ).to(DEVICE, DTYPE)  # fmt: skip
    tokens = torch.randint(0, 256, (case["batch"], case["n"]), device=DEVICE)
    if memory:
        states = [normal(case["batch"], memory, width) for _ in range(case["layers"])]
        return differentiated(lambda: model(tokens, mems=states, return_mems=True)[0], [], False)
    return differentiated(lambda: model(tokens), list(model.parameters()), case["backward"])


WHAT = {f.__name__: f for f in (flex, sdpa, longformer, big_bird, x_transformers)}


def seconds(call) -> float:
    if GPU:
        torch.cuda.synchronize()
    calls, start = 0, time.perf_counter()
    while True:
        call()
        if GPU:
            torch.cuda.synchronize()
        calls, elapsed = calls + 1, time.perf_counter() - start
        if elapsed >= 0.02:
            return elapsed / calls


def memory_of(call) -> int | None:
    """Bytes that a call needs beside what is there before it; None where the system does not say."""
    if GPU:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the highest resident size so far
        before = _status("VmRSS")
        call()
        return max(_status("VmHWM") - before, 0)
    except (OSError, AttributeError):  # no Linux, no glibc
        call()
        return None


def _status(field: str) -> int:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def main() -> None:
    import transformers

    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer

    def answer(**found) -> None:
        print(json.dumps(found), file=answers, flush=True)

    answer(
        torch=torch.__version__,
        transformers=transformers.__version__,
        x_transformers=version("x-transformers"),
        device=DEVICE,
    )
    torch.manual_seed(0)
    call = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                call = None
                call = WHAT[request["prepare"]["what"]](request["prepare"])
                call()
                answer(memory=memory_of(call))
            else:
                answer(seconds=seconds(call))
        except Exception as error:  # told to the harness, which says it aloud
            answer(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}")


if __name__ == "__main__":
    main()
