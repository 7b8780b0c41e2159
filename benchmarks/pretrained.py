"""Published models: their speed beside Hugging Face's on PyTorch, and what loading a folder in shards costs.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python benchmarks/pretrained.py --peer_python=PYTHON \\
        --output=benchmarks/results/pretrained.md

Speed: BERT-base forward and a training step of 8 × 128 tokens (no dropout in forward; AdamW), GPT-2 small decoding 64
tokens after 8 prompts of 128, with its cache; float32 and bfloat16. The floor is the FLOPs over the measured peak of a
matrix product, for decoding the bytes of the parameters read once a token over the measured bandwidth. Sides are timed
in turns of three calls after one that is not counted; figures are the best of their rounds.

Size: a folder of T5's form (--megabytes of parameters, in eight shards) is read onto the device in a process of its
own. Peak memory is that of the process beside what it had before; the floor is the parameters and 1.3 of a shard, and
of time that of reading the files into memory: from the disk, and from the system's cache, which is a copy of memory.
"""

import argparse
import dataclasses
import datetime
import json
import multiprocessing
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks import timing
from t2t import families, folders, models
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.training import AdamW, TrainConfig
from t2t.training.step import make_train_step, new_state

ROWS, LENGTH, GENERATED, ROUNDS = 8, 128, 64, 3
LOADS = 5
DTYPES = ("float32", "bfloat16")


def bert_forward(dtype: str):
    config = dataclasses.replace(families.get("bert_base"), dtype=dtype)
    module, params, batch = _ready(config)
    params = models.cast_matrices(params, dtype)  # as `t2t.load(…, param_dtype=…)` has them
    return timing.program(lambda p, b: module.apply({"params": p}, b), params, batch), _flops(config, 2)


def bert_step(dtype: str):
    config = dataclasses.replace(families.get("bert_base"), dtype=dtype)
    module, params, batch = _ready(config)
    batch |= {"targets": batch["encoder_inputs"], "loss_weights": jnp.ones((ROWS, LENGTH))}
    transform = AdamW().transform(lambda step: 1e-4)
    step = jax.jit(make_train_step(module, transform, lambda step: 1e-4, TrainConfig()), donate_argnums=0)
    state = [new_state(params, transform)]

    def run() -> float:
        start = time.perf_counter()
        state[0], metrics = step(state[0], batch)
        jax.block_until_ready((state[0], metrics))
        return time.perf_counter() - start

    return run, _flops(config, 6)


def gpt2_decode(dtype: str):
    config = dataclasses.replace(families.get("gpt2_small"), dtype=dtype)
    module, params, batch = _ready(config)
    params = models.cast_matrices(params, dtype)
    decode = DecodeConfig(max_length=GENERATED)

    def run() -> float:
        start = time.perf_counter()
        # No id is the end of sequence: all rows go on to the last token.
        found = decode_batch(params, batch, jnp.arange(ROWS), model=module, decode=decode, eos_id=config.vocab_size)
        jax.block_until_ready(found)
        return time.perf_counter() - start

    return run, None


CASES = {"bert_forward": bert_forward, "bert_step": bert_step, "gpt2_decode": gpt2_decode}


def _ready(config: models.ModelConfig):
    module, side = models.build(config), config.architecture
    params = jax.jit(lambda key: nn.meta.unbox(module.init(key, models.dummy_batch(config))["params"]))(
        jax.random.key(0)
    )
    tokens = jax.random.randint(jax.random.key(1), (ROWS, LENGTH), 3, config.vocab_size, jnp.int32)
    return module, params, {f"{side}_inputs": tokens, f"{side}_segments": jnp.ones_like(tokens)}


def _flops(config: models.ModelConfig, passes: int) -> float:
    """Of matrix products: so many `passes` for each parameter and token (2 forward, 6 with the backward pass)."""
    tables = config.max_length * config.width + config.token_types * config.width
    attention = 2 * config.encoder_layers * config.width * LENGTH  # 4 h k m for each token, over the 2 of a parameter
    return passes * ROWS * LENGTH * (models.param_count(config) - tables + attention)


def steadily(run):
    """The least of three calls, one after the other: the first after the other side's turn finds its memory gone."""
    return lambda: min(run() for _ in range(3))


def speed(peer_python: str) -> str:
    """The table of both sides."""
    peer = subprocess.Popen(
        [peer_python, str(pathlib.Path(__file__).with_name("pretrained_torch.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    versions = json.loads(peer.stdout.readline())

    def theirs(case: str, dtype: str) -> float:
        peer.stdin.write(json.dumps({"case": case, "dtype": dtype}) + "\n")
        peer.stdin.flush()
        return json.loads(peer.stdout.readline())["seconds"]

    array = jnp.ones((1 << 26,), jnp.float32)
    total = timing.program(jnp.sum, array)
    bandwidth = array.nbytes / min(total() for _ in range(7))
    rows = []
    for dtype in DTYPES:
        peak = timing.matmul_peak(dtype, 2048)
        for case, make in CASES.items():
            run, flops = make(dtype)
            run()  # compiles
            found = timing.in_turns(
                {"t2t": steadily(run), "peer": steadily(lambda c=case, d=dtype: theirs(c, d))}, ROUNDS
            )
            if flops is None:
                width = 4 if dtype == "float32" else 2
                floor = GENERATED * models.param_count(families.get("gpt2_small")) * width / bandwidth
            else:
                floor = flops / peak
            ours, other = found["t2t"], found["peer"]
            told = (f"{1e3 * x:.0f} ms" for x in (ours, other))
            rows.append([case, dtype, *told, f"{other / ours:.2f} ×", f"{1e3 * floor:.0f} ms", f"{floor / ours:.0%}"])
            print(rows[-1], flush=True)
    peer.stdin.close()
    peer.wait()
    header = ["case", "dtype", "t2t", "transformers", "faster", "floor", "of the floor"]
    return f"PyTorch {versions['torch']}, transformers {versions['transformers']}.\n\n" + timing.table(header, rows)


def size(megabytes: int) -> str:
    """What loading costs beside its floors."""
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(
            families.get("t5_v1_1_small"), width=1024, heads=16, mlp_width=2816, vocab_size=8192
        )
        each = models.param_count(dataclasses.replace(config, encoder_layers=2, decoder_layers=2)) - models.param_count(
            dataclasses.replace(config, encoder_layers=1, decoder_layers=1)
        )
        layers = max(round(megabytes * 1e6 / 4 / each), 1)
        config = dataclasses.replace(config, encoder_layers=layers, decoder_layers=layers)
        shapes = nn.meta.unbox(models.abstract_params(config))
        generator = np.random.default_rng(0)
        params = jax.tree.map(lambda x: generator.standard_normal(x.shape, np.float32), shapes)
        total = sum(x.nbytes for x in jax.tree.leaves(params))
        folders.save(folder, config, params, family="t5", shard_bytes=total // 8 + 1)
        del params
        shard = max(file.stat().st_size for file in pathlib.Path(folder).glob("*.safetensors"))
        found = {(what, cold): [] for cold in (False, True) for what in ("read", "load")}
        for _ in range(LOADS):
            for (what, cold), results in found.items():
                results.append(_in_process(what, folder, cold))
        found = {case: min(results, key=lambda f: f["seconds"]) for case, results in found.items()}
    limit, peak = total + 1.3 * shard, found["load", False]["peak"]
    rows = [
        ["parameters", f"{total / 1e6:,.0f} MB", "", ""],
        ["largest shard", f"{shard / 1e6:,.0f} MB", "", ""],
        ["peak memory", f"{peak / 1e6:,.0f} MB", f"{limit / 1e6:,.0f} MB", f"{peak / limit:.2f}"],
    ]
    for cold, said in ((True, "from the disk"), (False, "from the system's cache")):
        loading, reading = (found[what, cold]["seconds"] for what in ("load", "read"))
        rows.append([f"time, {said}", f"{loading:.2f} s", f"{reading:.2f} s", f"{loading / reading:.2f}"])
    return timing.table(["", "measured", "floor", "of it"], rows)


def _in_process(what: str, folder: str, cold: bool) -> dict:
    """`_measure` in a process of its own, with the files in the system's cache or, where it is `cold`, not."""
    for file in pathlib.Path(folder).glob("*.safetensors") if cold else ():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(what, folder, queue))
    process.start()
    found = queue.get()
    process.join()
    return found


def _measure(what: str, folder: str, queue) -> None:
    """The seconds and the memory of loading a folder, or the seconds of reading its files."""
    jax.block_until_ready(jnp.zeros(1) + 1)
    files = sorted(pathlib.Path(folder).glob("*.safetensors"))
    # A virtual machine may have to be given memory that it touches for the first time, several times slower than a disk
    # reads: that is done before.
    np.ones(3 * sum(file.stat().st_size for file in files), np.uint8)
    _peak_memory()
    before = _peak_memory()
    start = time.perf_counter()
    if what == "load":
        jax.block_until_ready(folders.load(folder).params)
    else:
        kept = [np.fromfile(file, np.uint8) for file in files]
        del kept
    seconds = time.perf_counter() - start
    queue.put({"what": what, "seconds": seconds, "peak": _peak_memory() - before})


def _peak_memory() -> int:
    """The most bytes that the process has held, since it was last asked (Linux: a child's begins with its parent's)."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer_python", help="an interpreter with torch and transformers")
    parser.add_argument("--megabytes", type=int, default=2000, help="of the folder that is loaded")
    parser.add_argument("--output", help="a Markdown file")
    arguments = parser.parse_args()
    about = (
        f"{datetime.date.today()}, {timing.device()}, Python {platform.python_version()}, jax {jax.__version__}:\n"
        f"`{timing.command()}`"
    )
    parts = [f"# Published models: speed and size\n\n{about}"]
    parts.append("## A folder in eight shards\n\n" + size(arguments.megabytes))
    if arguments.peer_python:
        parts.append("## Beside transformers\n\n" + speed(arguments.peer_python))
    else:
        print("Without --peer_python nothing is compared with transformers.")
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
