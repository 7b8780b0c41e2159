"""Attention's speed and memory: every mechanism beside its own limit and, in the same run, beside the peers.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python benchmarks/attention.py all --peer_python=PYTHON \\
        --output=benchmarks/results/attention.md

Sections (give one or more, or `all`):
    sparse          patterns against dense at the Sparse Transformer's setting, n = 512 … 65,536
    linformer       time per token, and the paper's table 3 against unfused and fused dense
    transformer_xl  evaluation with a memory against a sliding window
    bias            T5's learned bias against none
    decoding        cost per token against the position
    peers           PyTorch, transformers, x-transformers, jax.nn and tokamax (PYTHON has torch, transformers and
                    x-transformers; without --peer_python the peers in PyTorch are left out, aloud)

Compilation is not counted. Sides are timed in turns, each after one call that is not counted; figures are the best of
their rounds, which other work on the machine disturbs least. Run it on an otherwise idle machine. On a GPU everything
is bfloat16, on a CPU float32. Sections are written into --output as they end, each in the place of its last measurement
on the same kind of device; those of others stay.
"""

import argparse
import dataclasses
import datetime
import importlib
import pathlib
import platform
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jax

from benchmarks import timing

SECTIONS = {
    "sparse": "attention_sparse",
    "linformer": "attention_linformer",
    "transformer_xl": "attention_memory",
    "bias": "attention_bias",
    "decoding": "attention_decoding",
    "peers": "attention_peers",
}
TITLE = "# Attention: time, memory, and the limit of each\n"
WITHOUT_GPU = "A GPU is yet to be measured: none was at hand. Its rows are skipped."


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all sections are told.

    Attributes:
      quick: tiny sizes, to see that the scripts run.
      gpu: whether the device is one.
      dtype: of the computation.
      peak: measured FLOP/s of a matrix product in that dtype.
      rounds: timings of each side.
      patience: the most seconds that one call may be expected to take; what would take longer is not run, aloud.
      lengths: n, where they are to differ from a section's own.
      peer_python: an interpreter with PyTorch, or "".
    """

    quick: bool
    gpu: bool
    dtype: str
    peak: float
    rounds: int
    patience: float
    lengths: tuple[int, ...]
    peer_python: str

    def of_peak(self, flops: float, seconds: float) -> str:
        """GFLOP/s and its share of the peak, for a table."""
        rate = flops / seconds
        return f"{rate / 1e9:,.0f} ({100 * rate / self.peak:.0f} %)"


def say(*words) -> None:
    print(f"[{time.strftime('%H:%M:%S')}]", *words, file=sys.stderr, flush=True)


def setting_of(arguments: argparse.Namespace) -> Setting:
    gpu = jax.default_backend() == "gpu"
    dtype = "bfloat16" if gpu else "float32"
    return Setting(
        quick=arguments.quick,
        gpu=gpu,
        dtype=dtype,
        peak=timing.matmul_peak(dtype, 512 if arguments.quick else 8192 if gpu else 2048),
        rounds=arguments.rounds,
        patience=arguments.patience,
        lengths=tuple(int(n) for n in arguments.lengths.split(",") if n),
        peer_python=arguments.peer_python,
    )


def head(setting: Setting) -> str:
    """Where and how a section was measured."""
    return (
        f"{datetime.date.today()} · Python {platform.python_version()} · jax {jax.__version__} · "
        f"{timing.device()} · {setting.dtype} · "
        f"peak of a matrix product {setting.peak / 1e9:,.0f} GFLOP/s\n"
        f"Command: `{timing.command()}`"
    )


def put(page: str, backend: str, section: str, body: str) -> str:
    """The page with one section of one backend replaced or added; everything else as it is."""
    start, end = f"<!-- {backend} {section} -->", f"<!-- end {backend} {section} -->"
    block = f"{start}\n{body.strip()}\n{end}\n"
    old = re.compile(re.escape(start) + ".*?" + re.escape(end) + "\n", re.DOTALL)
    if old.search(page):
        return old.sub(lambda _: block, page)
    return (page or TITLE) + "\n" + block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=[*SECTIONS, "all"], metavar="section")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that the script runs")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--patience", type=float, default=30.0, help="skip what one call of would take more seconds")
    parser.add_argument("--lengths", default="", help="comma-separated n of `sparse`, instead of its own")
    parser.add_argument("--peer_python", default="", help="an interpreter with torch, transformers and x-transformers")
    parser.add_argument("--output", default="", help="the Markdown file to keep the sections in")
    arguments = parser.parse_args()
    setting = setting_of(arguments)
    output = pathlib.Path(arguments.output) if arguments.output else None
    backend = "gpu" if setting.gpu else "cpu"
    if not setting.gpu:
        say(WITHOUT_GPU)
    for name in SECTIONS if "all" in arguments.sections else arguments.sections:
        say(f"{name} on {backend}")
        begun = time.perf_counter()
        module = importlib.import_module(f"benchmarks.{SECTIONS[name]}")
        body = f"## {module.TITLE} ({backend.upper()})\n\n{head(setting)}\n\n{module.run(setting, say)}"
        say(f"{name} took {time.perf_counter() - begun:.0f} s")
        print(body + "\n", flush=True)
        if output:
            page = output.read_text(encoding="utf-8") if output.exists() else ""
            page = put(page, backend, name, body)
            if not setting.gpu and f"<!-- gpu {name} -->" not in page:
                page = put(page, "gpu", name, f"## {module.TITLE} (GPU)\n\n{WITHOUT_GPU}")
            output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
