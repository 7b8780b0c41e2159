"""Linformer (Wang et al. 2020): time per token over the length, and the speed-ups and memory of the paper's table 3."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks import timing
from t2t import models
from t2t.attention import Conditions, Dense, Linformer, Mechanism, Sizes, attend

TITLE = "Linformer: time per token, and table 3"
# The paper's table 3: times as fast, times less memory, against its own dense attention, rank 128 and 256.
PAPER = {
    128: {512: (1.5, 1.7), 1024: (1.7, 3.0), 2048: (2.6, 6.1), 4096: (3.4, 14), 8192: (5.5, 28), 16_384: (8.6, 56),
          32_768: (13, 56), 65_536: (20, 60)},
    256: {512: (1.3, 1.5), 1024: (1.6, 2.9), 2048: (2.4, 5.6), 4096: (3.2, 13), 8192: (5.0, 26), 16_384: (7.8, 48),
          32_768: (12, 48), 65_536: (18, 52)},
}  # fmt: skip
LAYER = {"width": 768, "heads": 12, "mlp_width": 3072}  # of RoBERTa-base, the paper's
SAMPLE = 512  # queries, where all of them would take too long or too much memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Some(Mechanism):
    """Dense attention of the first `queries` queries alone (all if 0), whose results stand for those of all others.

    Attributes:
      implementation: "reference" holds all logits at once, as models of 2020 did; "auto" is the best of our own.
    """

    name: Literal["some"] = "some"
    queries: int = 0
    implementation: str = "reference"

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        n = query.shape[1]
        some = query[:, : self.queries or n]
        out = attend(some, key, value, implementation=self.implementation)
        return jnp.tile(out, (1, n // some.shape[1], 1, 1)), state


def run(setting, say) -> str:
    return _per_token(setting, say) + "\n\n" + _table_3(setting, say)


def _per_token(setting, say) -> str:
    """One mechanism by itself, the same number of tokens at every length."""
    lengths = (256, 512) if setting.quick else (2048, 4096, 8192, 16_384, 32_768, 65_536)
    rank, sizes, tokens = 256, Sizes(width=512, heads=8, head_width=64), lengths[-1]
    if setting.quick:
        rank = 32
    sides, flops = {}, 8 * 512 * rank * tokens
    for n in lengths:
        mechanism = Linformer(rank=rank, length=n, sharing="layer")
        given = {
            name: timing.normal(7, p.shape, setting.dtype) * n**-0.5 for name, p in mechanism.parameters(sizes).items()
        }
        query, key, value, cotangent = (timing.normal(s, (tokens // n, n, 8, 64), setting.dtype) for s in range(4))

        def function(q, k, v, given, mechanism=mechanism):
            return mechanism.apply(q, k, v, Conditions(), parameters=given)[0]

        sides[n, "forward"] = timing.program(function, query, key, value, given)
        both = timing.forward_and_backward(function)
        sides[n, "both"] = timing.program(both, cotangent, query, key, value, given)
    times = timing.in_turns(sides, setting.rounds, 3 * setting.patience)
    rows = []
    for n in lengths:
        forward, both = times[n, "forward"], times[n, "both"]
        say(
            f"linformer: n = {n}: {1e9 * forward / tokens:.0f} ns a token forward, "
            f"{1e9 * both / tokens:.0f} with the backward pass"
        )
        rows.append(
            [
                f"{n:,}", str(tokens // n), f"{1e9 * forward / tokens:,.0f}", f"{1e9 * both / tokens:,.0f}",
                f"{forward / times[lengths[0], 'forward']:.2f}", f"{both / times[lengths[0], 'both']:.2f}",
                timing.megabytes(sides[n, "both"].memory), setting.of_peak(3 * flops, both),
            ]
        )  # fmt: skip
    spread = [
        max(times[n, kind] for n in lengths) / min(times[n, kind] for n in lengths) - 1 for kind in ("forward", "both")
    ]
    reached = "reached" if max(spread) <= 0.2 else "missed"
    header = (
        "n", "batch", "ns/token forward", "ns/token fwd+bwd", f"forward, × n = {lengths[0]:,}",
        f"fwd+bwd, × n = {lengths[0]:,}", "MiB fwd+bwd", "GFLOP/s fwd+bwd (of peak)",
    )  # fmt: skip
    return (
        f"{tokens:,} tokens at every length, 8 heads of 64, rank {rank}, one projection for all. The slowest is "
        f"{100 * spread[0]:.0f} % over the quickest forward and {100 * spread[1]:.0f} % with the backward pass; the "
        f"goal, and the limit by FLOPs, is a time per token that does not depend on n, within 20 %: {reached}.\n\n"
        + timing.table(header, rows)
    )


def _table_3(setting, say) -> str:
    lengths = (128, 256) if setting.quick else tuple(PAPER[128])
    ranks = (16,) if setting.quick else (128, 256) if setting.gpu else (128,)
    room = 2**35 if setting.gpu else 3 * 2**30  # bytes that the logits of the unfused side may take
    rows = []
    for n in lengths:
        whole = 3 * 4 * LAYER["heads"] * n * n <= room
        sampled = 0 if whole else SAMPLE
        sides = {rank: _layer(Linformer(rank=rank, length=n, sharing="layer"), n, setting.dtype) for rank in ranks}
        for name, implementation in (("unfused", "reference"), ("fused", "auto")):
            sides[name] = _layer(Some(queries=sampled, implementation=implementation), n, setting.dtype)
            if sampled:
                sides[name, "rest"] = _queries(implementation, n, setting.dtype)
        times = timing.in_turns(sides, setting.rounds, setting.patience)
        if sampled:
            for name in ("unfused", "fused"):
                times[name] += (n / sampled - 1) * times[name, "rest"]
        memory = {rank: sides[rank].memory for rank in ranks}
        memory["unfused"] = sides["unfused"].memory if whole else _plan(Some(), n, setting.dtype)
        memory["fused"] = sides["fused"].memory if whole else _plan(Dense(), n, setting.dtype)
        about = "≈ " if sampled else ""
        for rank in ranks:
            speed, fused = times["unfused"] / times[rank], times["fused"] / times[rank]
            say(f"linformer: n = {n}, rank {rank}: {about}{speed:.1f} × over unfused, {about}{fused:.1f} × over fused")
            paper = PAPER.get(rank, {}).get(n)
            rows.append(
                [
                    f"{n:,}", str(rank), timing.seconds(times[rank]), about + timing.seconds(times["unfused"]),
                    about + timing.seconds(times["fused"]), f"{about}{speed:.1f}", f"{paper[0]}" if paper else "–",
                    f"{about}{fused:.1f}", f"{_limit(n, rank):.1f}", f"{100 * fused / _limit(n, rank):.0f} %",
                    f"{memory['unfused'] / memory[rank]:.1f}", f"{paper[1]}" if paper else "–",
                    f"{memory['fused'] / memory[rank]:.1f}",
                    setting.of_peak(n * _token_flops(8 * rank), times[rank]),
                ]
            )  # fmt: skip
    header = (
        "n", "rank", "Linformer", "unfused dense", "fused dense", "× over unfused", "paper", "× over fused",
        "limit: FLOPs", "fused, of the limit", "memory, × under unfused", "paper", "memory, × under fused",
        "Linformer, GFLOP/s (of peak)",
    )  # fmt: skip
    return (
        f"One encoder layer of width {LAYER['width']} with {LAYER['heads']} heads, forward, batch 1. Unfused dense "
        "holds all its logits at once; fused is our own best. ≈: where all logits would take too much memory, the "
        f"time of {SAMPLE} queries against all keys is measured and counted for all. Memory is XLA's temporaries of "
        "the whole program.\n\n" + timing.table(header, rows)
    )


def _encoder(mechanism: Mechanism, n: int, dtype: str):
    """A layer as a function of its parameters and tokens, and shapes of both."""
    config = models.ModelConfig(
        architecture="encoder", vocab_size=8, encoder_layers=1, positions="none", attention=mechanism, dtype=dtype,
        activation="gelu", **LAYER,
    )  # fmt: skip
    model = models.build(config)
    # Parameters of a projection over n positions are made for n of them.
    init = jax.jit(lambda key: nn.meta.unbox(model.init(key, models.dummy_batch(config, length=n))["params"]))
    return lambda params, tokens: model.apply({"params": params}, tokens, method="encode"), init


def _layer(mechanism: Mechanism, n: int, dtype: str) -> timing.Program:
    function, init = _encoder(mechanism, n, dtype)
    return timing.program(function, init(jax.random.key(0)), jnp.zeros((1, n), jnp.int32))


def _plan(mechanism: Mechanism, n: int, dtype: str) -> int:
    """Bytes that XLA would take for temporaries: compiled, never run."""
    function, init = _encoder(mechanism, n, dtype)
    params = jax.eval_shape(init, jax.random.key(0))
    return timing.temporaries(jax.jit(function).lower(params, jnp.zeros((1, n), jnp.int32)).compile())


def _queries(implementation: str, n: int, dtype: str) -> timing.Program:
    """Attention of SAMPLE queries to n keys."""
    heads, k = LAYER["heads"], LAYER["width"] // LAYER["heads"]
    query = timing.normal(0, (1, SAMPLE, heads, k), dtype)
    key, value = (timing.normal(seed, (1, n, heads, k), dtype) for seed in (1, 2))
    return timing.program(lambda q, k, v: attend(q, k, v, implementation=implementation), query, key, value)


def _token_flops(attention: float) -> float:
    """Forward FLOPs of the layer for a token: attention's per unit of width, and the products with kernels."""
    d, f = LAYER["width"], LAYER["mlp_width"]
    return attention * d + 2 * (4 * d * d + 2 * d * f)


def _limit(n: int, rank: int) -> float:
    return _token_flops(4 * n) / _token_flops(8 * rank)
