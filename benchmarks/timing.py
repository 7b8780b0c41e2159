"""Programs measured side by side: compiled first, warmed, and then timed in turns (A-B-A-B), so that whatever else the
machine does meets all of them alike."""

import dataclasses
import functools
import os
import pathlib
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from t2t.attention import Cost, Pattern

LEAST = 0.02  # seconds: what is quicker is called again and again within one timing
Side = Callable[[], float]  # runs once and says how many seconds it took


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled function with its arguments; calling it gives seconds.

    Attributes:
      memory: bytes of temporaries in XLA's plan, beside arguments and results.
    """

    call: Callable[[], object]
    memory: int

    def __call__(self) -> float:
        calls, start = 0, time.perf_counter()
        while True:
            jax.block_until_ready(self.call())
            calls, elapsed = calls + 1, time.perf_counter() - start
            if elapsed >= LEAST:
                return elapsed / calls


def program(function: Callable, *arguments) -> Program:
    """The function compiled for these arguments."""
    compiled = jax.jit(function).lower(*arguments).compile()
    return Program(lambda: compiled(*arguments), temporaries(compiled))


def temporaries(compiled) -> int:
    """Bytes of a compiled program's temporaries."""
    found = compiled.memory_analysis()
    return 0 if found is None else int(found.temp_size_in_bytes)


def forward_and_backward(function: Callable) -> Callable:
    """The function's gradients for its arguments and, first, a cotangent of its result."""

    def both(cotangent, *arguments):
        out, pull = jax.vjp(function, *arguments)
        return out, pull(cotangent.astype(out.dtype))

    return both


def in_turns(sides: Mapping[str, Side], rounds: int, patience: float = 60.0) -> dict[str, float]:
    """The least seconds of each side, timed in turns after one call that is not counted.

    A side is left out of later rounds once they would take it beyond `patience` seconds in all.
    """
    times = {name: [] for name in sides}
    expected = {name: side() for name, side in sides.items()}
    for turn in range(rounds):
        for name, side in sides.items():
            if turn == 0 or (turn + 1) * expected[name] <= patience:
                times[name].append(side())
    return {name: min(values) for name, values in times.items()}


def matmul_peak(dtype: str, n: int) -> float:
    """FLOP/s of a square matrix product, the floor under everything that multiplies."""
    a = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = program(jnp.matmul, a, a)
    product()
    return 2 * n**3 / min(product() for _ in range(7))


@functools.cache
def cost(pattern: Pattern, n: int) -> Cost:
    """`pattern.cost(n)`, counted once."""
    return pattern.cost(n)


def device() -> str:
    """What is measured, in words."""
    found = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    if jax.default_backend() != "cpu":
        return found
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {model}"


def command() -> str:
    """How the script was called, as another would call it: without where this machine keeps its interpreters."""
    tunables = f"GLIBC_TUNABLES={os.environ['GLIBC_TUNABLES']} " if "GLIBC_TUNABLES" in os.environ else ""
    words = [re.sub("^(--peer_python=).+", r"\1PYTHON", word) for word in sys.argv[1:]]
    return f"{tunables}python benchmarks/{pathlib.Path(sys.argv[0]).name} {shlex.join(words)}"


def normal(seed: int, shape: Sequence[int], dtype: str) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds(value: float | None) -> str:
    """Seconds for a table: three digits that count."""
    if value is None:
        return "–"
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 2**20:,.1f}"
