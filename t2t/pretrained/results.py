"""What a model gives, under transformers' names."""

from collections.abc import Mapping
from typing import Any

import jax

from t2t.errors import unknown
from t2t.families.family import Family
from t2t.models import ModelConfig, hidden_states


class Result(dict):
    """Arrays by name, as items and as attributes."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(unknown("output", name, self))


def result_of(
    found: Mapping[str, Any],
    kept: Mapping[str, Any] | None,
    config: ModelConfig,
    family: Family,
    loss: Any,
    rows: int,
    features: Mapping[str, Any],
) -> Result:
    """The outputs of a module under transformers' names.

    Args:
      found: of the module's `outputs`.
      kept: intermediates, where hidden states are wanted.
      rows: of the arguments; rows of multiple choice are more.
      features: that the module read.
    """
    result = Result() if loss is None else Result(loss=loss)
    both = config.architecture == "encoder-decoder"
    for name in config.outputs:
        array = found[name]
        if name == "spans":
            result |= {"start_logits": array[..., 0], "end_logits": array[..., 1]}
        elif name == "choice":
            result["logits"] = array.reshape(rows, -1)
        else:
            for theirs in _names(name, config, family):
                result[theirs] = array
    if not config.outputs:
        result["last_hidden_state"] = found["states"]
        if "pooled" in found:
            result["pooler_output"] = found["pooled"]
    if both:
        result["encoder_last_hidden_state"] = found["encoded"]
    if kept is not None:
        states = {"decoder" if both else config.architecture: found["states"]}
        for side, last in (states | ({"encoder": found["encoded"]} if both else {})).items():
            before = hidden_states(kept, config, side)
            prefix = f"{side}_" if both else ""
            states = (*before[:-1], last if side in family.calls.normed else before[-1])
            if features.get("encoder_targets") is not None:  # of both streams, in turns
                n = features["encoder_inputs"].shape[1]
                states = tuple(stream for x in before for stream in (x[:, :n], x[:, n:]))
            result[f"{prefix}hidden_states"] = states
    return result


def _names(output: str, config: ModelConfig, family: Family) -> list[str]:
    if len(config.outputs) == 1:
        return ["logits", *([family.calls.output_names[output]] if output in family.calls.output_names else [])]
    usual = {"vocabulary": "prediction_logits", "pair": "seq_relationship_logits"}
    return [{**usual, **family.calls.output_names}[output]]


def shown(result: Result) -> Result:
    """The result with its arrays as NumPy's."""
    return Result(jax.tree.map(jax.device_get, dict(result)))
