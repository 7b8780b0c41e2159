"""The heads of public models: which class of transformers has which outputs, and how its head's tensors are named."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from t2t.errors import ConfigError, unknown
from t2t.families.rows import Row, linear
from t2t.models import ModelConfig

Outputs = tuple[str, ...]
ENDINGS: dict[str, Outputs] = {  # of the names of classes
    "ForMaskedLM": ("vocabulary",),
    "ForSequenceClassification": ("sequence",),
    "ForMultipleChoice": ("choice",),
    "ForTokenClassification": ("tagging",),
    "ForQuestionAnswering": ("spans",),
    "Model": (),
}


@dataclasses.dataclass(frozen=True)
class Head:
    """The tensors that one class has besides its trunk's.

    Attributes:
      out: of the last projection; "" where there is none (the states alone).
      pooler: of the dense layer on the state of the sequence; "" where there is none.
      activation: of the pooler, as `ModelConfig.pooler` names it.
      optional: whether folders may lack the pooler.
      transform: of ELECTRA's layer before "replaced".
    """

    out: str = ""
    pooler: str = ""
    activation: str = "tanh"
    optional: bool = False
    transform: str = ""


def classes(prefix: str, *, without: tuple[str, ...] = (), **more: Outputs) -> dict[str, Outputs]:
    """The classes of a family and their outputs: those with the usual endings, and more by their endings."""
    endings = {ending: outputs for ending, outputs in ENDINGS.items() if ending not in without} | more
    return {f"{prefix}{ending}": outputs for ending, outputs in endings.items()}


def outputs_of(values: Mapping[str, Any], known: Mapping[str, Outputs]) -> Outputs:
    """The outputs of the class that config.json names; where it names none, of the first there is.

    Raises:
      ConfigError: a class that is not here.
    """
    name = (values.get("architectures") or [next(iter(known))])[0]
    if name not in known:
        raise ConfigError(f"config.json: {unknown('class in architectures', name, known)}")
    return known[name]


def class_of(outputs: Outputs, known: Mapping[str, Outputs]) -> str:
    """The class that has these outputs.

    Raises:
      ConfigError: there is none.
    """
    for name, found in known.items():
        if found == outputs:
            return name
    there = ", ".join(f"{found} ({name})" for name, found in known.items())
    raise ConfigError(f"outputs {outputs}: no class of this family has them; there are {there}.")


def pooler_of(head: Head, tensors: Any, prefix: str = "") -> str:
    """`ModelConfig.pooler` of a head, whose folder may lack it."""
    there = f"{head.pooler}.weight" in tensors or f"{head.pooler}.weight".removeprefix(prefix) in tensors
    return head.activation if head.pooler and (there or not head.optional) else ""


def head_rows(config: ModelConfig, head: Head) -> list[Row]:
    """The rows of a head, the transformed logits over the vocabulary apart."""
    found = linear("heads/pooler", head.pooler) if config.pooler else []
    for name in config.outputs:
        if name == "replaced":
            found += linear("heads/replaced_transform", head.transform)
        if name != "vocabulary":
            found += linear(f"heads/{name}", head.out, bias=config.labels_bias)
    return found


def labels_in(values: Mapping[str, Any], outputs: Outputs) -> int:
    """How many labels config.json names, where the outputs have any."""
    if not {"sequence", "tagging"} & set(outputs):
        return ModelConfig.labels
    names = values.get("id2label")
    return len(names) if names else values.get("num_labels", 2)


def named_labels(config: ModelConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of the labels: their names where `values` has as many, else numbers for names."""
    if not {"sequence", "tagging"} & set(config.outputs):
        return {}
    names = values.get("id2label") or {}
    if len(names) != config.labels:
        names = {str(i): f"LABEL_{i}" for i in range(config.labels)}
    return {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}
