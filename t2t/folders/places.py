"""Which tensors make which parameter: rows spelled out for every layer, whichever way layers are stacked."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from t2t.families.rows import Row
from t2t.models import ModelConfig, by_path

LAYER = re.compile(r"(.+)/layer_\{i\}/(.*)")
Index = tuple[int, ...]  # () for the whole parameter, (layer,) for one of a stack


@dataclasses.dataclass(frozen=True)
class Place:
    """A parameter and the rows that fill it.

    Attributes:
      shape: of the parameter.
      rows: (where in the parameter, the row with its layer's number).
    """

    shape: tuple[int, ...]
    rows: list[tuple[Index, Row]]


def places(rows: Iterable[Row], config: ModelConfig, shapes: Any) -> dict[str, Place]:
    """The rows of a family for every parameter of a model, by its path.

    Args:
      shapes: the tree of the parameters' shapes.
    """
    found = {path: Place(leaf.shape, []) for path, leaf in by_path(shapes).items()}
    for row in rows:
        for path, index, spelled in _spelled(row, config):
            found[path].rows.append((index, spelled))
    return found


def _spelled(row: Row, config: ModelConfig) -> Iterable[tuple[str, Index, Row]]:
    match = LAYER.fullmatch(row.ours)
    if not match:
        yield row.ours, (), row
        return
    stack, rest = match.groups()
    layers = config.stacks[stack]
    for i in range(layers.sets):
        spelled = dataclasses.replace(row, theirs=row.theirs.format(i=i))
        if config.stacking == "unrolled" or layers.sharing:
            yield f"{stack}/layer_{i}/{rest}", (), spelled
        else:
            block = f"block_{i % layers.turns}/" if layers.turns > 1 else ""
            yield f"{stack}/layers/{block}{rest}", (i // layers.turns,), spelled
