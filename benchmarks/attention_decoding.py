"""Incremental decoding: the cost of a token at position n, with a cache of the size that the pattern needs."""

import time

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks import timing
from t2t import models
from t2t.attention import Dense, Sparse, fixed, local, strided

TITLE = "Decoding: cost per token against position"
STEPS, CHUNK = 32, 512  # tokens decoded in one timing, and prompt tokens at once
MECHANISMS = {
    "dense": Dense(),
    "local(128)": Sparse(pattern=local(128)),
    "strided merged": Sparse(pattern=local(128) | strided(128)),
    "fixed merged": Sparse(pattern=fixed(128, 32)),
}


def config_of(mechanism, length: int, dtype: str, layers: int) -> models.ModelConfig:
    return models.ModelConfig(
        architecture="decoder", vocab_size=256, width=512, heads=8, mlp_width=2048, decoder_layers=layers,
        max_length=length, attention=mechanism, stacking="scanned", dtype=dtype,
    )  # fmt: skip


class Decoding:
    """A model that stands at a position; calling it decodes `STEPS` more tokens and gives seconds per token."""

    def __init__(self, config: models.ModelConfig, params, position: int, room: int, batch: int):
        model = models.build(config)

        def extend(params, cache, tokens):
            logits, cache = model.apply({"params": params}, tokens, cache=cache, method="decode")
            return cache, jnp.argmax(logits[:, -1:], -1)

        def decode(params, cache, tokens):
            return jax.lax.scan(lambda carry, _: (extend(params, *carry), None), (cache, tokens), None, STEPS)[0]

        cache, tokens = models.init_cache(config, batch, room), jnp.zeros((batch, min(CHUNK, position)), jnp.int32)
        prompt = jax.jit(extend, donate_argnums=1)
        for _ in range(position // tokens.shape[1]):
            cache, token = prompt(params, cache, tokens)
        self._compiled = jax.jit(decode, donate_argnums=1).lower(params, cache, token).compile()
        self._params, self._held = params, (cache, token)
        self.cache_bytes = sum(x.nbytes for x in jax.tree.leaves(cache.layers))

    def __call__(self) -> float:
        start = time.perf_counter()
        self._held = jax.block_until_ready(self._compiled(self._params, *self._held))
        return (time.perf_counter() - start) / STEPS


def run(setting, say) -> str:
    positions = (64, 128) if setting.quick else (512, 2048, 8192, 32_768) if setting.gpu else (512, 2048, 8192)
    layers, batch = (1, 1) if setting.quick else (12, 8) if setting.gpu else (4, 1)
    rounds = 2 * setting.rounds + 1
    found, sizes = {}, {}
    config = config_of(Dense(), 8, setting.dtype, layers)
    init = jax.jit(models.build(config).init)(jax.random.key(0), models.dummy_batch(config))
    params = nn.meta.unbox(init["params"])  # sparse attention has none of its own
    for position in positions:
        room = position + STEPS * (rounds + 2)
        sides = {
            name: Decoding(config_of(mechanism, room, setting.dtype, layers), params, position, room, batch)
            for name, mechanism in MECHANISMS.items()
        }
        for name, value in timing.in_turns(sides, rounds, setting.patience).items():
            found[name, position], sizes[name, position] = value, sides[name].cache_bytes
            say(f"decoding: {name} at {position}: {timing.seconds(value)} a token")
    rows = []
    for name, mechanism in MECHANISMS.items():
        times = [found[name, p] for p in positions]
        kept = [_kept(mechanism, p) for p in positions]
        rows.append(
            [
                name,
                *(timing.seconds(t) for t in times),
                *(f"{timing.megabytes(sizes[name, p])}" for p in positions),
                f"{kept[-1] / kept[0]:.1f}",
                f"{times[-1] / times[0]:.2f}",
            ]
        )
    header = [
        "pattern", *(f"at {p:,}" for p in positions), *(f"cache at {p:,}, MiB" for p in positions),
        "limit: keys seen, last / first", "time, last / first",
    ]  # fmt: skip
    return (
        f"{layers} layers of width {config.width}, {config.heads} heads, batch {batch}, {models.param_count(config):,} "
        f"parameters; time of one token, {STEPS} in one program, after a prompt of the length given. The goal is a "
        "time that does not grow with the position where the pattern is a window.\n\n" + timing.table(header, rows)
    )


def _kept(mechanism, position: int) -> int:
    """How many keys a query at a position sees."""
    if isinstance(mechanism, Dense):
        return position + 1
    return int(jnp.sum(mechanism.patterns[0].allows(jnp.full(position + 1, position), jnp.arange(position + 1))))
