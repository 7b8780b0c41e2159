"""The peers beside us: the same setting on both sides, timed in turns, each at what it is made for.

PyTorch runs in a process of its own (`attention_torch.py`), which only works while it is asked to; the others run in
this one. What a peer cannot do is said in its row.
"""

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks import timing
from t2t import models
from t2t.attention import Pattern, attend, bidirectional, big_bird, causal, fixed, global_tokens, local, strided

TITLE = "Beside the peers"
PATTERNS = {
    "causal": causal(),
    "local": causal() & local(128),
    "strided": causal() & (local(128) | strided(128)),
    "fixed": causal() & fixed(128, 32),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
      peer, what: the two names in the table.
      case: batch, n, heads, head_width and what else the peer is told.
      pattern: whose kept pairs are counted.
      ours: the case and the dtype → a function and its arguments, the arrays that are differentiated.
      theirs: likewise, for a peer on JAX; None for one on PyTorch, which is told the case alone.
      extra_flops: matrix products beside attention's, forward.
    """

    peer: str
    what: str
    case: dict
    pattern: Pattern
    ours: Callable[[dict, str], tuple[Callable, tuple]]
    theirs: Callable[[dict, str], tuple[Callable, tuple]] | None = None
    extra_flops: float = 0.0


class PyTorch:
    """A process that times PyTorch when asked."""

    def __init__(self, python: str):
        script = str(pathlib.Path(__file__).with_name("attention_torch.py"))
        self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = json.loads(self._process.stdout.readline())

    def ask(self, **request) -> dict:
        """Its answer; RuntimeError where it is an error."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        found = json.loads(line) if line else {"error": "the process ended, perhaps for lack of memory"}
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def prepare(self, case: dict) -> timing.Program:
        memory = self.ask(prepare=case)["memory"]
        return _Remote(self, memory)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@dataclasses.dataclass(frozen=True)
class _Remote:
    """A side that runs in the other process."""

    process: PyTorch
    memory: int | None

    def __call__(self) -> float:
        return self.process.ask(run=True)["seconds"]


def _qkv(case: dict, dtype: str) -> tuple[jax.Array, ...]:
    shape = (case["batch"], case["n"], case["heads"], case["head_width"])
    return tuple(timing.normal(seed, shape, dtype) for seed in range(3))


def _attend(pattern) -> Callable:
    return lambda case, dtype: (lambda q, k, v: attend(q, k, v, pattern=pattern), _qkv(case, dtype))


def _jax_nn(window: int | None = None) -> Callable:
    """`jax.nn.dot_product_attention`, causal: cuDNN on a GPU, XLA's own elsewhere."""
    implementation = "cudnn" if jax.default_backend() == "gpu" else "xla"
    sizes = None if window is None else (window - 1, 0)

    def function(q, k, v):
        return jax.nn.dot_product_attention(
            q, k, v, is_causal=True, local_window_size=sizes, implementation=implementation
        )

    return lambda case, dtype: (function, _qkv(case, dtype))


def _tokamax(case: dict, dtype: str) -> tuple[Callable, tuple]:
    import tokamax
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # or it would read this script's arguments as its own
    return lambda q, k, v: tokamax.dot_product_attention(q, k, v, is_causal=True), _qkv(case, dtype)


def _projected(pattern: Pattern) -> Callable:
    """Self-attention without its last projection, as the layers of transformers have it."""

    def make(case, dtype):
        heads, k = case["heads"], case["head_width"]
        hidden = timing.normal(0, (case["batch"], case["n"], heads * k), dtype)
        kernels = tuple(timing.normal(seed, (heads * k, heads, k), dtype) / (heads * k) ** 0.5 for seed in (1, 2, 3))
        biases = tuple(timing.normal(seed, (heads, k), dtype) for seed in (4, 5, 6))

        def function(hidden, kernels, biases):
            q, k, v = (jnp.einsum("bnd,dhk->bnhk", hidden, w) + b for w, b in zip(kernels, biases))
            return attend(q, k, v, pattern=pattern)

        return function, (hidden, kernels, biases)

    return make


def _decoder(case: dict, dtype: str) -> tuple[Callable, tuple]:
    """A pre-norm GELU decoder without biases in its projections, as x-transformers builds one."""
    config = models.ModelConfig(
        architecture="decoder", vocab_size=256, width=case["heads"] * case["head_width"], heads=case["heads"],
        mlp_width=4 * case["heads"] * case["head_width"], decoder_layers=case["layers"], activation="gelu", bias=False,
        positions="learned", max_length=case["n"], tie_logits=False, dtype=dtype,
    )  # fmt: skip
    model = models.build(config)
    params = nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), models.dummy_batch(config))["params"])
    tokens = jax.random.randint(jax.random.key(1), (case["batch"], case["n"]), 0, 256)
    return lambda params: model.apply({"params": params}, {"decoder_inputs": tokens}), (params,)


def rows(quick: bool, gpu: bool) -> list[Row]:
    """All comparisons, forward; `run` adds those with the backward pass."""
    long, middle, short = (512, 256, 256) if quick else (12_288, 4096, 2048)
    batch = 8 if gpu else 1
    heads = {"batch": batch, "heads": 8, "head_width": 64}
    wide = {"batch": batch, "heads": 12, "head_width": 64, "n": middle}
    window, block = (64, 16) if quick else (256, 64)
    found = [
        Row("flex_attention", name, {**heads, "n": long, "what": "flex", "pattern": name}, pattern, _attend(pattern))
        for name, pattern in PATTERNS.items()
    ]
    for n in (short, long):
        found.append(Row("SDPA", "causal", {**heads, "n": n, "what": "sdpa"}, causal(), _attend(causal())))
    for n in (short, middle):
        found.append(Row("jax.nn", "causal", {**heads, "n": n}, causal(), _attend(causal()), _jax_nn()))
    near = causal() & local(128)
    found.append(Row("jax.nn", "local(128)", {**heads, "n": middle}, near, _attend(near), _jax_nn(128)))
    found.append(Row("tokamax", "causal", {**heads, "n": middle}, causal(), _attend(causal()), _tokamax))

    projections = 3 * 2 * batch * middle * (12 * 64) ** 2

    def layer(name, setting, pattern, **case):
        return Row(
            name, f"layer, {setting}", {**wide, **case}, pattern, _projected(pattern), extra_flops=projections
        )  # fmt: skip

    seen = local(window + 1) | global_tokens(1)  # its window counts the positions of one side, without the own
    case = {"what": "longformer", "window": window, "globals": 1}
    found.append(layer("Longformer", f"window {window}, 1 global", seen, **case))
    case = {"what": "big_bird", "block": block, "random": 3}
    found.append(layer("BigBird", f"blocks of {block}, 3 random", big_bird(block, middle), **case))
    layers = 1 if quick else 12 if gpu else 4
    decoder = {**heads, "n": middle, "what": "x_transformers", "layers": layers}
    linear = layers * 2 * 12 * 512**2 * batch * middle
    found.append(Row("x-transformers", f"decoder, {layers} layers", decoder, causal(), _decoder, extra_flops=linear))
    return found


def run(setting, say) -> str:
    process = None
    if setting.peer_python:
        process = PyTorch(setting.peer_python)
        say("peers:", process.versions)
    lines = []
    for row in rows(setting.quick, setting.gpu):
        for backward in (False, True):
            lines.append(_compare(setting, say, process, row, backward))
    header = (
        "peer", "what", "n", "pass", "peer's time", "ours", "peer's time / ours", "peer's MiB", "our MiB",
        "our GFLOP/s (of peak)", "limit over dense: pairs",
    )  # fmt: skip
    versions = "not run: no --peer_python"
    if process:
        versions = ", ".join(f"{k} {v}" for k, v in process.versions.items())
        process.close()
    return (
        f"PyTorch: {versions}. A ratio above 1 means that t2t is faster. MiB are temporaries: by XLA's plan here, "
        "growth of resident memory for PyTorch on a CPU. flex_attention is compiled, the layers of transformers and "
        "x-transformers run as these libraries ship them. Longformer's layer also projects its global tokens apart; "
        "ours uses the one set of projections.\n\n" + timing.table(header, lines)
    )


def _compare(setting, say, process, row: Row, backward: bool) -> list[str]:
    case = {**row.case, "backward": backward}
    cells = [row.peer, row.what, f"{case['n']:,}", "fwd+bwd" if backward else "forward"]
    sides, failed = {"t2t": _program(setting, *row.ours(case, setting.dtype), backward)}, ""
    try:
        if row.theirs is not None:
            sides["peer"] = _program(setting, *row.theirs(case, setting.dtype), backward)
        elif process is None:
            failed = "not run"
        else:
            sides["peer"] = process.prepare(case)
        if "peer" in sides:
            sides["peer"]()  # some fail only when they run
    except Exception as error:  # a peer that cannot is a finding, not the end of the run
        sides.pop("peer", None)
        failed = f"cannot: {(str(error).strip() or type(error).__name__).splitlines()[0].split('. ')[0][:100]}"
        say(f"peers: {row.peer}, {row.what}, n = {case['n']}, {cells[3]}: {failed}")
    times = timing.in_turns(sides, setting.rounds, 3 * setting.patience)
    cost = timing.cost(row.pattern, case["n"])
    pairwise = cost.flops(case["head_width"], backward=backward) * case["batch"] * case["heads"] * case.get("layers", 1)
    flops = pairwise + (3 if backward else 1) * row.extra_flops
    whole = bidirectional() if row.pattern.allows(np.array(0), np.array(1)) else causal()
    mine, theirs = times["t2t"], times.get("peer")
    say(
        f"peers: {row.peer}, {row.what}, n = {case['n']}, {cells[3]}: {timing.seconds(theirs)} | {timing.seconds(mine)}"
    )
    return [
        *cells,
        timing.seconds(theirs) if theirs else failed,
        timing.seconds(mine),
        f"{theirs / mine:.2f}" if theirs else "–",
        timing.megabytes(sides["peer"].memory) if theirs else "–",
        timing.megabytes(sides["t2t"].memory),
        setting.of_peak(flops, mine),
        f"{timing.cost(whole, case['n']).pairs / cost.pairs:.1f}",
    ]


def _program(setting, function: Callable, arguments: tuple, backward: bool) -> timing.Program:
    if not backward:
        return timing.program(function, *arguments)
    out = jax.eval_shape(function, *arguments)
    cotangent = timing.normal(9, out.shape, out.dtype)
    return timing.program(timing.forward_and_backward(function), cotangent, *arguments)
