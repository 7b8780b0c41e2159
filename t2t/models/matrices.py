"""Parameters of which the larger ones are narrow."""

from typing import Any

import jax
import jax.numpy as jnp


def cast_matrices(params: Any, dtype: jnp.dtype) -> Any:
    """Parameters with the matrices in the dtype of the computation, so that a loop does not cast them at every step.

    Only what a module casts whole before it uses it: kernels and token tables. Norms stay float32.
    """

    def cast(path, leaf):
        name, owner = path[-1].key, path[-2].key if len(path) > 1 else ""
        return leaf.astype(dtype) if name == "kernel" or (name.startswith("table") and "tokens" in owner) else leaf

    return jax.tree_util.tree_map_with_path(cast, params)
