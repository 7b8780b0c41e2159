"""Parameters for tests, none of them degenerate: norms and biases are drawn too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from t2t.models import ModelConfig, abstract_params


def params_of(config: ModelConfig, scale: float = 0.4, seed: int = 0) -> Any:
    """Normal float32 parameters of a model; drawn by NumPy, for JAX would compile for each shape."""
    generator, shapes = np.random.default_rng(seed), nn.meta.unbox(abstract_params(config))
    return jax.tree.map(lambda s: jnp.asarray(scale * generator.normal(size=s.shape), jnp.float32), shapes)
