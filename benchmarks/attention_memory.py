"""Transformer-XL (Dai et al. 2019, table 9): evaluation with a memory against a window that slides by one token and is
computed again for each."""

import jax
from flax import linen as nn

from benchmarks import timing
from benchmarks.attention_peers import PyTorch
from t2t import models
from t2t.attention import Dense, TransformerXL

TITLE = "Transformer-XL: evaluation with a memory against a sliding window"
PAPER = {800: 363, 1800: 773, 2800: 1409, 3800: 1874}
SEGMENT = 128


def config_of(setting, mechanism) -> models.ModelConfig:
    """enwik8's 12-layer model on a CPU, the 24-layer one on a GPU."""
    sizes = {"width": 512, "heads": 8, "mlp_width": 2048, "decoder_layers": 12}
    if setting.gpu:
        sizes = {"width": 1024, "heads": 8, "mlp_width": 3072, "decoder_layers": 24}
    if setting.quick:
        sizes = {"width": 64, "heads": 2, "mlp_width": 128, "decoder_layers": 2}
    return models.ModelConfig(
        architecture="decoder", vocab_size=256, positions="none", attention=mechanism,
        dtype=setting.dtype, **sizes,
    )  # fmt: skip


def limit(config: models.ModelConfig, attended: int, hidden: bool) -> float:
    """FLOPs of a token by the sliding window, over those with a memory of keys and values or of hidden states.

    A segment's query sees the memory and half of the segment; its relative positions are half as much work again as its
    attention. Hidden states must be projected to keys and values in each segment, and the sinusoids as well.
    """
    d, f, segment = config.width, config.mlp_width, SEGMENT
    linear = 2 * (4 * d * d + 2 * d * f)
    window = linear * attended + 4 * d * attended * attended / 2
    token = linear + (4 + 2) * d * (attended + segment / 2)
    if hidden:
        token += (2 * 2 + 2) * d * d * attended / segment
    return window / token


def run(setting, say) -> str:
    lengths = (256, 384) if setting.quick else tuple(PAPER)
    streams, windows = (16, 4) if setting.gpu else (1, 1)
    peer = PyTorch(setting.peer_python) if setting.peer_python else None
    rows = []
    for attended in lengths:
        config = config_of(setting, TransformerXL(memory=attended))
        sides = {
            "window": _window(config_of(setting, Dense()), attended, windows),
            "memory": _with_memory(config, models.init_cache(config, streams, attended + SEGMENT)),
            "hidden": _with_memory(config, models.init_memory(config, streams)),
        }
        tokens = {
            "window": windows,
            "memory": streams * SEGMENT,
            "hidden": streams * SEGMENT,
            "peer": streams * SEGMENT,
        }
        if peer:
            case = {
                "what": "x_transformers", "batch": streams, "n": SEGMENT, "heads": config.heads,
                "head_width": config.head_width, "layers": config.decoder_layers, "memory": attended, "backward": False,
            }  # fmt: skip
            sides["peer"] = peer.prepare(case)
        times = timing.in_turns(sides, setting.rounds, 2 * setting.patience)
        each = {name: value / tokens[name] for name, value in times.items()}
        gain, hidden = each["window"] / each["memory"], each["window"] / each["hidden"]
        best, best_hidden = limit(config, attended, False), limit(config, attended, True)
        say(
            f"transformer_xl: attention length {attended}: {gain:,.0f} × with keys and values, "
            f"{hidden:,.0f} × with hidden states"
        )
        wanted = PAPER.get(attended, 0) if setting.gpu else 1500 if attended == 3800 else 0
        goal = "beyond the limit" if wanted > best else "reached" if gain >= wanted else "missed"
        flops = limit(config, attended, False) ** -1 * _window_flops(config, attended)
        rows.append(
            [
                f"{attended:,}", timing.seconds(each["window"]), timing.seconds(each["memory"]),
                timing.seconds(each["hidden"]), f"{gain:,.0f}", f"{best:,.0f}", f"{100 * gain / best:.0f} %",
                f"{hidden:,.0f}", f"{best_hidden:,.0f}", f"{PAPER.get(attended, '–')}",
                f"{wanted:,} × {goal}" if wanted else "–", setting.of_peak(flops, each["memory"]),
                timing.seconds(each["peer"]) if peer else "–",
                f"{each['peer'] / each['memory']:.2f}" if peer else "–",
            ]
        )  # fmt: skip
    if peer:
        peer.close()
    header = (
        "attention length", "window, a token", "keys and values, a token", "hidden states, a token", "× window",
        "limit", "of the limit", "hidden states, × window", "limit", "paper", "goal", "GFLOP/s (of peak)",
        "x-transformers, a token", "x-transformers / ours",
    )  # fmt: skip
    return (
        f"{config.decoder_layers} layers of width {config.width}, {config.heads} heads, feed-forward "
        f"{config.mlp_width}, segments of {SEGMENT}; {streams} streams with a memory, {windows} windows. "
        "The window is computed by our own best dense attention without relative positions. Limits are by FLOPs: of a "
        "causal window, over a memory of projected keys and values, or of hidden states that are projected again. "
        "x-transformers keeps hidden states and has rotary positions.\n\n" + timing.table(header, rows)
    )


def _window_flops(config: models.ModelConfig, attended: int) -> float:
    d, f = config.width, config.mlp_width
    return config.decoder_layers * (2 * (4 * d * d + 2 * d * f) * attended + 2 * d * attended * attended)


def _params(config: models.ModelConfig):
    model = models.build(config)
    return model, nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), models.dummy_batch(config))["params"])


def _window(config: models.ModelConfig, attended: int, batch: int) -> timing.Program:
    """The logits after a window's last token: what one token costs a model without a memory."""
    model, params = _params(config)
    tokens = jax.random.randint(jax.random.key(1), (batch, attended), 0, config.vocab_size)
    return timing.program(lambda p, t: model.apply({"params": p}, t, method="decode")[0][:, -1], params, tokens)


def _with_memory(config: models.ModelConfig, cache: models.Cache) -> timing.Program:
    """A segment of each stream after a full memory: a cache of keys and values, or one of hidden states."""
    model, params = _params(config)
    tokens = jax.random.randint(jax.random.key(1), (cache.lengths.shape[0], SEGMENT), 0, config.vocab_size)

    def evaluate(params, cache, tokens):
        return model.apply({"params": params}, tokens, cache=cache, method="decode")

    # The memory is handed on and updated in place, as an evaluation does.
    evaluate = jax.jit(evaluate, donate_argnums=1)
    held = [evaluate(params, cache, tokens)[1]]  # the first segment also leaves the projected sinusoids
    compiled = evaluate.lower(params, *held, tokens).compile()

    def segment():
        logits, held[0] = compiled(params, held[0], tokens)
        return logits

    for _ in range(-(-config.attention.memory // SEGMENT)):
        segment()
    return timing.Program(segment, timing.temporaries(compiled))
