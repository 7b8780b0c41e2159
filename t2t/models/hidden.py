"""The states between layers, for those who look inside."""

from collections.abc import Mapping
from typing import Any, Literal

import jax

from t2t.models.config import ModelConfig


def hidden_states(
    intermediates: Mapping[str, Any], config: ModelConfig, side: Literal["encoder", "decoder"]
) -> list[jax.Array]:
    """What goes into the first layer of a stack, and what comes out of each, before any final norm: [b n d] each.

    Args:
      intermediates: what `module.apply(…, mutable=["intermediates"])` returns under that name.
    """
    kept, layers = intermediates[side], getattr(config, f"{side}_layers")
    turns = len(getattr(config, f"{side}_mechanisms"))
    found = list(kept["before"])
    taken: dict[int, int] = {}
    for i in range(layers):
        if config.stacking == "unrolled":
            name = config.sharing[i] if config.sharing else i
            found.append(kept[f"layer_{name}"]["after"][taken.get(name, 0)])
            taken[name] = taken.get(name, 0) + 1
        elif config.sharing:
            found.append(kept["layer_0"]["after"][0][i])
        else:
            block = kept["layers"][f"block_{i % turns}"] if turns > 1 else kept["layers"]
            found.append(block["after"][0][i // turns])
    return found
