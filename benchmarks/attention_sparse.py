"""Sparse patterns against dense attention at the Sparse Transformer's setting (Child et al. 2019, table 2: n = 12,288,
stride 128, 32 summaries a block), 8 heads of 64."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
from flax import linen as nn

from benchmarks import timing
from t2t import models
from t2t.attention import Dense, Mechanism, Pattern, Sparse, attend, causal, fixed, local, strided, summaries

TITLE = "Sparse patterns against dense"
HEADS, WIDTH, STRIDE, SUMMARIES, TILE = 8, 64, 128, 32, 128


@dataclasses.dataclass(frozen=True)
class Case:
    """A pattern, what bounds it, and what is wanted of it.

    Attributes:
      tiles: n → how many 128 × 128 tiles its own geometry has (columns as rows, summaries gathered): what no kernel
        with such tiles can go below, where columns are long enough to fill them.
      goals: how many times as fast as dense, forward and backward at n = 12,288, on a CPU and on a GPU;
        None where none is set.
    """

    pattern: Pattern
    tiles: Callable[[int], int]
    goals: tuple[float | None, float | None] = (None, None)


def _triangle(n: int) -> int:
    return (side := -(-n // TILE)) * (side + 1) // 2


def _window(n: int) -> int:
    return 2 * -(-n // TILE) - 1


def _columns(n: int) -> int:
    return STRIDE * _triangle(-(-n // STRIDE))


def _gathered(n: int, own: int) -> int:
    """Tiles of queries against the summaries of the blocks before them, and of their own if `own` is 1."""
    return sum(-(-(block + own) * SUMMARIES // TILE) for block in range(-(-n // STRIDE)))


DENSE = "dense causal"
CASES = {
    DENSE: Case(causal(), _triangle),
    "local(128)": Case(causal() & local(STRIDE), _window, (25, 12)),
    "strided head": Case(causal() & strided(STRIDE), _columns, (60, 18)),
    "strided merged": Case(causal() & (local(STRIDE) | strided(STRIDE)), lambda n: _window(n) + _columns(n), (None, 7)),
    "fixed head": Case(causal() & summaries(STRIDE, SUMMARIES), lambda n: _gathered(n, 1)),
    "fixed merged": Case(causal() & fixed(STRIDE, SUMMARIES), lambda n: -(-n // TILE) + _gathered(n, 0), (4, 2.5)),
}


def run(setting, say) -> str:
    lengths = setting.lengths or ((256, 512) if setting.quick else (512, 2048, 12_288, 65_536))
    batch = 8 if setting.gpu else 1
    measured: dict[tuple[int, str], dict] = {}
    for n in lengths:
        for kind in ("forward", "both"):
            for name, found in _measure(setting, say, batch, n, kind, measured).items():
                measured.setdefault((n, name), {})[kind] = found
    rows = [_row(setting, batch, n, name, case, measured) for n in lengths for name, case in CASES.items()]
    header = (
        "n", "pattern", "forward", "fwd+bwd", "MiB forward", "MiB fwd+bwd", "GFLOP/s of kept pairs, fwd+bwd (of peak)",
        "× dense, forward", "× dense, fwd+bwd", "limit: pairs", "limit: 128-tiles", "limit: tiles of our plan",
        "of the pairs' limit", "of the tiles' limit", "goal",
    )  # fmt: skip
    return (
        f"Batch {batch}, {HEADS} heads of {WIDTH}; stride and window {STRIDE}, {SUMMARIES} summaries a block. FLOPs "
        "are those of the products over kept pairs, as `pattern.cost(n).flops` counts them. MiB are XLA's temporaries. "
        "Dense is the best of our own; ≈ is against dense estimated from the n before it, growing with n². A limit is "
        "how many times fewer pairs or tiles there are than of dense causal attention.\n\n"
        + timing.table(header, rows)
        + "\n\n"
        + _whole_layer(setting, say)
    )


def _measure(setting, say, batch, n, kind, measured) -> dict[str, tuple[float | None, int]]:
    """Seconds (None where not run) and bytes by name of the pattern."""
    query, key, value, cotangent = (
        timing.normal(seed, (batch, n, HEADS, WIDTH), setting.dtype) for seed in range(4)
    )  # fmt: skip

    def compiled(function):
        if kind == "forward":
            return timing.program(function, query, key, value)
        return timing.program(timing.forward_and_backward(function), cotangent, query, key, value)

    sides, found = {}, {}
    for name, case in CASES.items():
        expected = _expected(name, n, kind, measured)
        if expected > setting.patience:
            say(f"sparse: {name}, n = {n}, {kind}: not run, about {expected:.0f} s a call")
            found[name] = (None, 0)
            continue
        sides[name] = compiled(lambda q, k, v, case=case: attend(q, k, v, pattern=case.pattern))
    reference = f"{DENSE}, reference"
    if DENSE in sides and 4 * batch * HEADS * n * n <= 2**30:
        sides[reference] = compiled(lambda q, k, v: attend(q, k, v, pattern=causal(), implementation="reference"))
    times = timing.in_turns(sides, setting.rounds, 3 * setting.patience)
    for name, side in sides.items():
        say(f"sparse: {name}, n = {n}, {kind}: {timing.seconds(times[name])}")
        found[name] = (times[name], side.memory)
    if reference in found:
        found[DENSE] = min(found[DENSE], found.pop(reference))
    return found


def _expected(name, n, kind, measured) -> float:
    """Seconds of a call, from the last length and the kept pairs."""
    before = [(m, by[kind][0]) for (m, other), by in measured.items() if other == name and kind in by and by[kind][0]]
    if not before:
        return 0.0
    m, seconds = before[-1]
    return seconds * timing.cost(CASES[name].pattern, n).pairs / timing.cost(CASES[name].pattern, m).pairs


def _row(setting, batch, n, name, case, measured) -> list[str]:
    cost, dense_cost = timing.cost(case.pattern, n), timing.cost(CASES[DENSE].pattern, n)
    (forward, forward_bytes), (both, both_bytes) = (measured[n, name][kind] for kind in ("forward", "both"))
    pairs, tiles = dense_cost.pairs / cost.pairs, max(_triangle(n) / case.tiles(n), 1.0)
    plan = dense_cost.computed / cost.computed
    gain, mark = {}, {}
    for kind, mine in (("forward", forward), ("both", both)):
        dense = measured[n, DENSE][kind][0]
        mark[kind] = "" if dense else "≈ "
        gain[kind] = (dense or _expected(DENSE, n, kind, measured)) / mine if mine else None
    shown = {kind: "–" if value is None else f"{mark[kind]}{value:.1f}" for kind, value in gain.items()}
    goal = "–"
    wanted = case.goals[setting.gpu]
    if wanted and n == 12_288:
        goal = f"{wanted} × {'reached' if gain['both'] and gain['both'] >= wanted else 'missed'}"
    flops = batch * HEADS * cost.flops(WIDTH, backward=True)
    return [
        f"{n:,}", name, timing.seconds(forward), timing.seconds(both),
        timing.megabytes(forward_bytes if forward else None), timing.megabytes(both_bytes if both else None),
        setting.of_peak(flops, both) if both else "–", shown["forward"], shown["both"],
        f"{pairs:.1f}", f"{tiles:.1f}", f"{plan:.1f}",
        "–" if gain["both"] is None else f"{100 * gain['both'] / pairs:.0f} %",
        "–" if gain["both"] is None else f"{100 * gain['both'] / tiles:.0f} %",
        goal,
    ]  # fmt: skip


PAPER = {"fixed merged": 2.38, "strided merged": 3.74}  # times as fast as dense, the whole model (table 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unfused(Mechanism):
    """Dense attention that holds all its logits at once, as models of 2019 did."""

    name: Literal["unfused"] = "unfused"

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        return attend(query, key, value, **conditions.keywords(), implementation="reference"), state


def _whole_layer(setting, say) -> str:
    """A layer of the paper's enwik8 model, with its feed-forward and projections, forward and backward."""
    n = 256 if setting.quick else 12_288
    mechanisms = {DENSE: Dense()} | {name: Sparse(pattern=CASES[name].pattern) for name in PAPER}
    if setting.gpu or setting.quick:  # on a CPU the logits and their gradients would take more memory than it has
        mechanisms["dense, unfused"] = Unfused()
    sides = {name: _layer(mechanism, n, setting.dtype) for name, mechanism in mechanisms.items()}
    times = timing.in_turns(sides, setting.rounds, 2 * setting.patience)
    unfused = times.get("dense, unfused")
    rows = []
    for name, side in sides.items():
        gain = times[DENSE] / times[name]
        say(f"sparse: a layer, {name}, n = {n}: {timing.seconds(times[name])}, {gain:.2f} × dense")
        limit = None if name not in CASES else _layer_flops(n, DENSE) / _layer_flops(n, name)
        rows.append(
            [
                name, timing.seconds(times[name]), timing.megabytes(side.memory), f"{gain:.2f}",
                f"{limit:.2f}" if limit else "–", f"{100 * gain / limit:.0f} %" if limit else "–",
                f"{unfused / times[name]:.2f}" if unfused else "not run", str(PAPER.get(name, "–")),
                setting.of_peak(3 * _layer_flops(n, name if name in CASES else DENSE), times[name]),
            ]
        )  # fmt: skip
    header = (
        "a layer", "fwd+bwd", "MiB", "× fused dense", "limit: FLOPs", "of the limit", "× unfused dense",
        "paper, over unfused", "GFLOP/s (of peak)",
    )  # fmt: skip
    return (
        f"One layer of the paper's enwik8 model (width 512, 8 heads, feed-forward 2,048), n = {n:,}, batch 1, forward "
        "and backward with its projections and feed-forward.\n\n" + timing.table(header, rows)
    )


def _layer(mechanism: Mechanism, n: int, dtype: str) -> timing.Program:
    config = models.ModelConfig(
        architecture="decoder", vocab_size=256, width=512, heads=HEADS, mlp_width=2048, decoder_layers=1,
        positions="none", attention=mechanism, dtype=dtype,
    )  # fmt: skip
    model = models.build(config)
    params = nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), models.dummy_batch(config))["params"])
    tokens = jax.random.randint(jax.random.key(1), (1, n), 0, 256)
    function = timing.forward_and_backward(lambda p: model.apply({"params": p}, {"decoder_inputs": tokens}))
    return timing.program(function, timing.normal(2, (1, n, 256), "float32"), params)


def _layer_flops(n: int, name: str) -> float:
    """Forward FLOPs of the layer under a pattern."""
    linear = 2 * (4 * 512 * 512 + 2 * 512 * 2048) * n
    return linear + HEADS * timing.cost(CASES[name].pattern, n).flops(WIDTH)
