"""How text is generated."""

import dataclasses
from typing import Literal

from t2t.attention import AttentionConfig
from t2t.errors import ConfigError
from t2t.layers.attention import sizes_of
from t2t.layers.config import cycle
from t2t.models import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """The choices of decoding. Those of another method than `method` are not read."""

    method: Literal["greedy", "sample", "beam"] = "greedy"
    max_length: int = 128  # tokens generated at most, the end of sequence included
    temperature: float = 1.0  # sample: divides the logits
    top_k: int = 0  # sample: only among the k likeliest tokens; 0 for all
    top_p: float = 1.0  # sample: only among the fewest tokens that hold this much of the probability
    beams: int = 4  # beam
    length_penalty: float = 0.6  # beam: α of ((5 + length) / 6)^α, which divides log-probabilities (Wu et al. 2016)
    seed: int = 0  # sample
    attention: AttentionConfig | tuple[AttentionConfig, ...] | None = (
        None  # the decoder's in evaluation and generation, where it differs from training's: a longer memory, say
    )

    def __post_init__(self):
        for name in ("max_length", "beams"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        if self.temperature <= 0:
            raise ConfigError(
                f"temperature: expected more than 0, found {self.temperature}; for no chance at all, method 'greedy'."
            )
        if self.top_k < 0:
            raise ConfigError(f"top_k: expected 0 (for all) or more, found {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: expected more than 0 and at most 1, found {self.top_p}.")
        if self.length_penalty < 0:
            raise ConfigError(f"length_penalty: expected 0 or more, found {self.length_penalty}.")

    def of(self, model: ModelConfig) -> ModelConfig:
        """The model as it is evaluated and generates.

        Raises:
          ConfigError: `attention` has other parameters than the model's own.
        """
        if self.attention is None:
            return model
        own, other = (
            [m.parameters(sizes_of(model)) for m in mechanisms]
            for mechanisms in (model.decoder_mechanisms, cycle(self.attention))
        )
        if own != other:
            raise ConfigError(
                f"decode.attention: expected a mechanism with the parameters of model.attention, {sorted(own[0])}, "
                f"found {self.attention!r}: change its memory, clamp or same_length alone."
            )
        field = "attention" if model.decoder_attention is None else "decoder_attention"
        return dataclasses.replace(model, **{field: self.attention})
