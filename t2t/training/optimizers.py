"""The optimizers: Adafactor as T5 used it, and AdamW. Both are Optax's."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from t2t.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adafactor:
    """Shazeer & Stern 2018 with T5's choices: factored second moments, updates clipped at RMS 1 and scaled by the
    parameter's RMS (at least 1e-3), no momentum, no weight decay. β₂ of step t (from 0) is 1 − (t+1)^−decay.

    As in T5, a projection onto all heads is one matrix [d, h·k]. Scanned layers count as one parameter here: where each
    layer is to have its own RMS, as T5 had it, leave them unrolled.
    """

    name: Literal["adafactor"] = "adafactor"
    decay: float = 0.8
    clip: float = 1.0
    scale_by_parameter: bool = True

    def transform(self, schedule: Callable) -> optax.GradientTransformation:
        """The update rule at the schedule's rates."""
        rule = optax.adafactor(
            schedule,
            min_dim_size_to_factor=128,
            decay_rate=self.decay,
            clipping_threshold=self.clip,
            multiply_by_parameter_scale=self.scale_by_parameter,
            momentum=None,
            weight_decay_rate=None,
            eps=1e-30,
        )
        return _on_matrices(rule)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW:
    """Loshchilov & Hutter 2019; weight decay on matrices alone, not on norms and biases."""

    name: Literal["adamw"] = "adamw"
    b1: float = 0.9
    b2: float = 0.98
    epsilon: float = 1e-9
    weight_decay: float = 0.0

    def __post_init__(self):
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a rate in [0, 1), found {getattr(self, name)}.")

    def transform(self, schedule: Callable) -> optax.GradientTransformation:
        """The update rule at the schedule's rates."""
        return optax.adamw(
            schedule, b1=self.b1, b2=self.b2, eps=self.epsilon, weight_decay=self.weight_decay, mask=_kernels_and_tables
        )


def _on_matrices(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """The rule on attention's kernels as matrices, with heads and head widths as one dimension."""

    def matrix(path, leaf):
        if len(path) > 2 and path[-1].key == "kernel" and "attention" in path[-3].key:
            *outer, a, b, c = leaf.shape  # [d h k] inward, [h k d] outward, after any axis of scanned layers
            return leaf.reshape(*outer, a * b, c) if path[-2].key == "out" else leaf.reshape(*outer, a, b * c)
        return leaf

    def matrices(tree):
        return jax.tree_util.tree_map_with_path(matrix, tree)

    def update(updates, state, params):
        changed, state = rule.update(matrices(updates), state, matrices(params))
        return jax.tree.map(lambda new, old: new.reshape(old.shape), changed, updates), state

    return optax.GradientTransformation(lambda params: rule.init(matrices(params)), update)


def _kernels_and_tables(params: Any) -> Any:
    """True for kernels and tables, False for norms and biases."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in ("kernel", "table"), params)


OptimizerConfig = Adafactor | AdamW
