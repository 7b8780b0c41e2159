"""Two trees of parameters compared by name and shape, told as a difference."""

from typing import Any

import jax

from t2t.errors import CheckpointError


def leaf_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Path of each leaf, with slashes → its shape."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(_name(k) for k in path): tuple(leaf.shape) for path, leaf in leaves if hasattr(leaf, "shape")}


def check_same(saved: Any, wanted: Any, what: str) -> None:
    """Raises CheckpointError, listing what is missing (−), what is not wanted (+) and what has another shape (≠)."""
    saved, wanted = leaf_shapes(saved), leaf_shapes(wanted)
    lines = [
        f"  - {name} {list(shape)}: the model has it, the checkpoint does not"
        for name, shape in wanted.items()
        if name not in saved
    ]
    lines += [
        f"  + {name} {list(shape)}: the checkpoint has it, the model does not"
        for name, shape in saved.items()
        if name not in wanted
    ]
    lines += [
        f"  ≠ {name}: {list(saved[name])} in the checkpoint, {list(shape)} in the model"
        for name, shape in wanted.items()
        if name in saved and saved[name] != shape
    ]
    if lines:
        shown = lines[:12] + ([f"  … and {len(lines) - 12} more"] if len(lines) > 12 else [])
        raise CheckpointError(
            f"{what} is a checkpoint of another model:\n"
            + "\n".join(shown)
            + "\nUse the model that it was trained with (config.json in its workdir)."
        )


def _name(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))
