"""Parameters by their paths."""

from typing import Any

import jax


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree of dicts by their paths, with slashes."""
    return {"/".join(key.key for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
