"""T5-small beside Hugging Face's on PyTorch: a training step, greedy decoding and compilation, with the floor of each.

    python benchmarks/speed.py --peer_python=python-with-torch-and-transformers --output=benchmarks/results/speed.md

Without --peer_python only t2t is measured. The floor of a training step is its FLOPs over the measured peak of a matrix
product in the same dtype; that of decoding is the bytes of the decoder's parameters read once a token over the measured
bandwidth. Medians; run it on an otherwise idle machine.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import platform
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t import families, models
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.training import AdamW, TrainConfig
from t2t.training.accounting import step_flops
from t2t.training.step import make_train_step, new_state

ROWS, INPUTS, TARGETS, GENERATED = 8, 128, 32, 64
DTYPES = ("float32", "bfloat16")


def seconds(function, repeats: int) -> float:
    """The median of `repeats` timings, after one call that is not counted."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak(dtype: str, n: int = 2048) -> float:
    """FLOP/s of a square matrix product."""
    a = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * n**3 / seconds(lambda: product(a, a), 7)


def bandwidth() -> float:
    """Bytes/s read, by summing an array much greater than a cache."""
    array = jnp.ones((1 << 26,), jnp.float32)
    total = jax.jit(jnp.sum)
    return array.nbytes / seconds(lambda: total(array), 7)


def t5_small(dtype: str, dropout: float = 0.0, **changes) -> models.ModelConfig:
    rates = dict.fromkeys(("dropout", "attention_dropout", "mlp_dropout"), dropout)
    return dataclasses.replace(families.get("t5_small"), dtype=dtype, **rates, **changes)


def params_of(config: models.ModelConfig):
    model = models.build(config)
    return nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), models.dummy_batch(config))["params"])


def batch() -> dict[str, jax.Array]:
    generator = np.random.default_rng(0)
    found = {"targets": generator.integers(3, 32_000, (ROWS, TARGETS)), "loss_weights": np.ones((ROWS, TARGETS))}
    for side, length in (("encoder", INPUTS), ("decoder", TARGETS)):
        found[f"{side}_inputs"] = generator.integers(3, 32_000, (ROWS, length))
        found[f"{side}_segments"] = np.ones((ROWS, length))
        found[f"{side}_positions"] = np.tile(np.arange(length), (ROWS, 1))
    return {k: jnp.asarray(v, jnp.float32 if k == "loss_weights" else jnp.int32) for k, v in found.items()}


def train_program(config: models.ModelConfig):
    """The compiled step with AdamW, its first state, and the seconds it took to compile."""
    transform = AdamW().transform(lambda step: 1e-4)
    step = make_train_step(models.build(config), transform, lambda step: 1e-4, TrainConfig(batch_size=ROWS))
    state = new_state(params_of(config), transform)
    start = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=0).lower(state, batch()).compile()
    return compiled, state, time.perf_counter() - start


def train_seconds(config: models.ModelConfig, repeats: int) -> float:
    compiled, state, _ = train_program(config)
    given, held = batch(), [state]

    def once():
        held[0], metrics = compiled(held[0], given)
        return metrics

    return seconds(once, repeats)


def generate_seconds(config: models.ModelConfig, repeats: int) -> float:
    """Greedy decoding that never ends early, so that every row has all its tokens."""
    params, model = params_of(config), models.build(config)
    prompts = {k: v for k, v in batch().items() if k in ("encoder_inputs", "encoder_segments")}
    ids = jnp.arange(ROWS)
    decode = DecodeConfig(max_length=GENERATED)
    return seconds(lambda: decode_batch(params, prompts, ids, model=model, decode=decode, eos_id=-1), repeats)


def decoder_bytes(config: models.ModelConfig) -> float:
    """Bytes of the parameters that a step of decoding reads: the decoder's, and the table for the logits."""
    shapes = nn.meta.unbox(models.abstract_params(config))
    count = sum(x.size for x in jax.tree.leaves({k: v for k, v in shapes.items() if k in ("decoder", "tokens")}))
    return count * jnp.dtype(config.dtype).itemsize


def measure(repeats: int) -> dict:
    found = {"bandwidth": bandwidth()}
    for dtype in DTYPES:
        found[dtype] = {
            "peak": peak(dtype),
            "train": train_seconds(t5_small(dtype), repeats),
            "train_dropout": train_seconds(t5_small(dtype, 0.1), repeats),
            "generate": generate_seconds(t5_small(dtype), repeats),
        }
    found["compile"] = {
        f"{layers} layers, {stacking}": train_program(
            t5_small("float32", 0.1, encoder_layers=layers, decoder_layers=layers, stacking=stacking)
        )[2]
        for layers in (6, 24)
        for stacking in ("unrolled", "scanned")
    }
    return found


def report(ours: dict, peer: dict | None) -> str:
    """The measurements as a page of Markdown."""
    flops = step_flops(t5_small("float32"), batch())
    versions = f"jax {jax.__version__}" + (f", torch {peer['versions']['torch']}" if peer else "")
    lines = [
        "# T5-small: training step, greedy decoding, compilation",
        "",
        f"{datetime.date.today()} · Python {platform.python_version()} · {versions}"
        + (f", transformers {peer['versions']['transformers']}" if peer else "")
        + f" · {jax.device_count()} × {jax.devices()[0].device_kind}, {platform.machine()}",
        f"Command: `python benchmarks/speed.py {' '.join(sys.argv[1:])}`",
        "",
        f"Batch {ROWS} × {INPUTS}/{TARGETS}, AdamW; {flops / 1e9:.0f} GFLOP a step. Decoding "
        f"{ROWS} × {GENERATED} tokens, greedy, cached. Seconds, medians. A ratio above 1 means that t2t is faster.",
        "",
        "| what | dtype | floor | t2t | PyTorch | ratio | t2t, target tokens/s |",
        "|---|---|---|---|---|---|---|",
    ]
    names = {"train": "training step", "train_dropout": "training step, dropout 0.1", "generate": "greedy decoding"}
    for dtype in DTYPES:
        for key, name in names.items():
            mine, theirs = ours[dtype][key], peer[dtype][key] if peer else None
            tokens = ROWS * (GENERATED if key == "generate" else TARGETS)
            if key == "generate":
                floor = GENERATED * decoder_bytes(t5_small(dtype)) / ours["bandwidth"]
            else:
                floor = flops / ours[dtype]["peak"]
            compared = f"{theirs:.3f} | {theirs / mine:.2f}" if theirs else "– | –"
            lines.append(f"| {name} | {dtype} | {floor:.3f} | {mine:.3f} | {compared} | {tokens / mine:,.0f} |")
    lines += ["", "| matrix product 2048³, GFLOP/s | t2t | PyTorch |", "|---|---|---|"]
    for dtype in DTYPES:
        theirs = f"{peer[dtype]['peak'] / 1e9:,.0f}" if peer else "–"
        lines.append(f"| {dtype} | {ours[dtype]['peak'] / 1e9:,.0f} | {theirs} |")
    lines += ["", f"Bandwidth of reading: {ours['bandwidth'] / 1e9:.1f} GB/s.", ""]
    lines += ["| compiling a training step with dropout | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in ours["compile"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer_python", default="", help="an interpreter that has torch and transformers")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", default="", help="a Markdown file to write; standard output if not given")
    arguments = parser.parse_args()
    peer = None
    if arguments.peer_python:
        script = pathlib.Path(__file__).with_name("peer_torch.py")
        command = [arguments.peer_python, str(script), f"--repeats={arguments.repeats}"]
        peer = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
    page = report(measure(arguments.repeats), peer)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
