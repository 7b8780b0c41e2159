"""Learning rates as functions of the step, which counts from 0."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from t2t.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A linear warm-up from 0 over `warmup` steps to `peak`, and then a decay.

    | decay | after the warm-up |
    |---|---|
    | constant | peak |
    | rsqrt | peak · sqrt(warmup / step) (Vaswani et al. 2017, equation 3) |
    | linear, cosine | from peak down to peak · floor at the run's last step |
    | t5 | no warm-up at all: peak · 1/sqrt(max(step, warmup)); with peak 1 and warmup 10,000 it is 0.01 at first
    (Raffel et al. 2020, 3.1.2) |
    """

    decay: Literal["constant", "rsqrt", "linear", "cosine", "t5"] = "rsqrt"
    peak: float = 1e-3
    warmup: int = 1000
    floor: float = 0.0

    def __post_init__(self):
        if self.peak <= 0:
            raise ConfigError(f"peak: expected more than 0, found {self.peak}.")
        if self.warmup < 0 or (self.warmup == 0 and self.decay in ("rsqrt", "t5")):
            raise ConfigError(
                f"warmup: expected {'at least 1' if self.decay in ('rsqrt', 't5') else '0 or more'} with decay "
                f"'{self.decay}', found {self.warmup}."
            )
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"floor: expected a share of the peak in [0, 1], found {self.floor}.")


def make_schedule(config: ScheduleConfig, steps: int) -> Callable[[jax.Array], jax.Array]:
    """The learning rate of a step, for a run of `steps`."""
    peak, warmup, floor = config.peak, config.warmup, config.floor

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        if config.decay == "t5":
            return peak / jnp.sqrt(jnp.maximum(step, warmup))
        through = jnp.clip((step - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        decayed = {
            "constant": lambda: jnp.ones_like(step),
            "rsqrt": lambda: jnp.sqrt(warmup / jnp.maximum(step + 1, warmup)),
            "linear": lambda: 1.0 - (1.0 - floor) * through,
            "cosine": lambda: floor + (1.0 - floor) * 0.5 * (1.0 + jnp.cos(jnp.pi * through)),
        }[config.decay]()
        return peak * jnp.minimum(decayed, (step + 1) / max(warmup, 1))

    return schedule
