"""The states between layers, for those who look inside."""

from collections.abc import Mapping
from typing import Any, Literal

import jax

from t2t.models.config import Layers, ModelConfig


def hidden_states(
    intermediates: Mapping[str, Any], config: ModelConfig, side: Literal["encoder", "decoder"]
) -> list[jax.Array]:
    """What goes into the first layer of each stack of a side, and what comes out of each layer, before any final norm:
    [b n d] each, of molecules fewer positions.

    Args:
      intermediates: what `module.apply(…, mutable=["intermediates"])` returns under that name.
    """
    found = []
    for path, layers in config.stacks.items():
        first, *rest = path.split("/")
        if first == side:
            kept = intermediates[first]
            for part in rest:
                kept = kept[part]
            found += _of_stack(kept, layers, config.stacking)
    return found


def _of_stack(kept: Mapping[str, Any], layers: Layers, stacking: str) -> list[jax.Array]:
    found = list(kept["before"])
    taken: dict[int, int] = {}
    for i in range(layers.count):
        if stacking == "unrolled":
            name = layers.sharing[i] if layers.sharing else i
            found.append(kept[f"layer_{name}"]["after"][taken.get(name, 0)])
            taken[name] = taken.get(name, 0) + 1
        elif layers.sharing:
            found.append(kept["layer_0"]["after"][0][i])
        else:
            block = kept["layers"][f"block_{i % layers.turns}"] if layers.turns > 1 else kept["layers"]
            found.append(block["after"][0][i // layers.turns])
    return found
