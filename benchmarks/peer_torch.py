"""The peer: T5-small of Hugging Face transformers on PyTorch, timed the same way. Run by `speed.py`, in an interpreter
that has both.

Prints one JSON object: seconds a train step, seconds a greedy generation, and the matrix-product peak, for each dtype.
"""

import argparse
import json
import time

import torch
import transformers

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def median_seconds(function, repeats: int) -> float:
    """The median of `repeats` timings, after one call that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def peak(dtype: torch.dtype, n: int = 2048) -> float:
    """FLOP/s of a square matrix product."""
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    return 2 * n**3 / median_seconds(lambda: a @ b, 7)


def t5_small(dropout: float) -> transformers.T5ForConditionalGeneration:
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=32_128,
            d_model=512,
            d_kv=64,
            d_ff=2048,
            num_layers=6,
            num_heads=8,
            dropout_rate=dropout,
            decoder_start_token_id=0,
            attn_implementation="eager",
        )
    )


def train_step(dtype: torch.dtype, dropout: float, repeats: int) -> float:
    """Forward, backward and an AdamW update at batch 8 × 128 inputs / 32 targets; parameters float32, products in
    `dtype`."""
    model = t5_small(dropout).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    inputs, targets = torch.randint(3, 32_000, (8, 128)), torch.randint(3, 32_000, (8, 32))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = model(input_ids=inputs, labels=targets).loss
        loss.backward()
        optimizer.step()

    return median_seconds(step, repeats)


def generate(dtype: torch.dtype, repeats: int) -> float:
    """Greedy decoding of 8 × 64 new tokens from 8 × 128 inputs with the cache."""
    model = t5_small(0.0).to(dtype).eval()
    inputs = torch.randint(3, 32_000, (8, 128))

    def call():
        with torch.inference_mode():
            return model.generate(inputs, do_sample=False, num_beams=1, max_new_tokens=64, min_new_tokens=64)

    assert call().shape == (8, 65)
    return median_seconds(call, repeats)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    result = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "threads": torch.get_num_threads(),
    }
    for name, dtype in DTYPES.items():
        result[name] = {
            "peak": peak(dtype),
            "train": train_step(dtype, 0.0, repeats),
            "train_dropout": train_step(dtype, 0.1, repeats),
            "generate": generate(dtype, repeats),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
