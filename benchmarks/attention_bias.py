"""T5's learned relative bias (Raffel et al. 2020, section 2.1) against none: its lookup, its addition, its gradient."""

from benchmarks import timing
from t2t.attention import attend, bidirectional, causal
from t2t.layers.positions import RelativeBias

TITLE = "T5's learned bias against none"
HEADS, WIDTH, BUCKETS, MAX_DISTANCE = 8, 64, 32, 128


def run(setting, say) -> str:
    lengths = (128, 256) if setting.quick else (512, 2048, 8192) if setting.gpu else (512, 2048, 4096)
    tokens = 512 if setting.quick else 65_536 if setting.gpu else 4096
    fused = "auto" if setting.gpu else "tiles"
    rows = []
    for n in lengths:
        for pattern in (causal(), bidirectional()):
            batch = max(tokens // n, 1)
            query, key, value, cotangent = (
                timing.normal(seed, (batch, n, HEADS, WIDTH), setting.dtype) for seed in range(4)
            )
            table = timing.normal(4, (HEADS, BUCKETS), "float32")

            def plain(q, k, v, pattern=pattern):
                return attend(q, k, v, pattern=pattern, implementation=fused)

            def biased(q, k, v, table, pattern=pattern):
                bias = RelativeBias(table, pattern == bidirectional(), MAX_DISTANCE)
                return attend(q, k, v, pattern=pattern, bias=bias, implementation=fused)

            both = timing.forward_and_backward
            sides = {
                "plain forward": timing.program(plain, query, key, value),
                "biased forward": timing.program(biased, query, key, value, table),
                "plain both": timing.program(both(plain), cotangent, query, key, value),
                "biased both": timing.program(both(biased), cotangent, query, key, value, table),
            }
            times = timing.in_turns(sides, 2 * setting.rounds + 1, setting.patience)
            say(f"bias: n = {n}, {pattern}: " + ", ".join(f"{k} {timing.seconds(v)}" for k, v in times.items()))
            flops = batch * HEADS * timing.cost(pattern, n).flops(WIDTH, backward=True)
            more = times["biased both"] / times["plain both"] - 1
            rows.append(
                [
                    f"{n:,}",
                    repr(pattern),
                    *(timing.seconds(times[name]) for name in sides),
                    timing.megabytes(sides["plain both"].memory),
                    timing.megabytes(sides["biased both"].memory),
                    setting.of_peak(flops, times["biased both"]),
                    f"{100 * (times['biased forward'] / times['plain forward'] - 1):+.0f} %",
                    f"{100 * more:+.0f} %",
                    f"≤ 15 % {'reached' if more <= 0.15 else 'missed'}",
                ]
            )
    header = (
        "n", "pattern", "none, forward", "bias, forward", "none, fwd+bwd", "bias, fwd+bwd", "MiB none", "MiB bias",
        "GFLOP/s with bias (of peak)", "more, forward", "more, fwd+bwd", "goal",
    )  # fmt: skip
    return (
        f"{tokens:,} tokens a batch, {HEADS} heads of {WIDTH}, {BUCKETS} buckets; the gradient includes the table's. "
        f"The limit is 0 % more: the bias needs no matrix product. An n × n bias of {HEADS} heads in float32 "
        f"alone would be {timing.megabytes(4 * HEADS * lengths[-1] ** 2)} MiB at n = {lengths[-1]:,}.\n\n"
        + timing.table(header, rows)
    )
