"""What a run leaves on disk, verified when it is read again."""

from t2t.checkpoints.store import Store, best_step, listed, read_config, read_meta, restore_params, steps
from t2t.checkpoints.trees import check_same, leaf_shapes

__all__ = [
    "Store",
    "best_step",
    "check_same",
    "leaf_shapes",
    "listed",
    "read_config",
    "read_meta",
    "restore_params",
    "steps",
]
