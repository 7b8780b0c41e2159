"""How text is generated."""

import dataclasses
import math
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
    length_penalty: float = 0.6  # beam: α of the power of the length that divides log-probabilities
    length_form: Literal["gnmt", "power"] = "gnmt"  # beam: ((5 + length) / 6)^α (Wu et al. 2016), or length^α
    early_stopping: bool | Literal["never"] = (
        "never"  # beam: stop when no better hypothesis can come; False: when none would that ended now; True: when as
        # many have ended as there are beams
    )
    num_return_sequences: int | None = None  # of the beams, or samples of each prompt; None: all beams, 1 sample
    seed: int = 0  # sample
    repetition_penalty: float = 1.0  # logits of tokens that are there already: positive ones over it, others times it
    no_repeat_ngram_size: int = 0  # no n-gram of this length twice, a decoder's prompt counted; 0: as they come
    banned_ids: tuple[int, ...] = ()  # never generated, unless forced
    min_new_tokens: int = 0  # no end of sequence before
    forced_bos_id: int | None = None  # the first token generated, as a translator's language
    forced_eos_id: int | None = None  # the last token where max_length is reached
    attention: AttentionConfig | tuple[AttentionConfig, ...] | None = (
        None  # the decoder's in evaluation and generation, where it differs from training's: a longer memory, say
    )

    def __post_init__(self):
        for name in ("max_length", "beams", "num_return_sequences"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        if self.temperature <= 0:
            raise ConfigError(
                f"temperature: expected more than 0, found {self.temperature}; for no chance at all, method 'greedy'."
            )
        if self.top_k < 0:
            raise ConfigError(f"top_k: expected 0 (for all) or more, found {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: expected more than 0 and at most 1, found {self.top_p}.")
        if self.length_penalty < 0 and self.length_form == "gnmt":
            raise ConfigError(
                f"length_penalty: expected 0 or more, found {self.length_penalty}: less needs length_form 'power'."
            )
        if self.repetition_penalty <= 0:
            raise ConfigError(f"repetition_penalty: expected more than 0, found {self.repetition_penalty}; 1 for none.")
        for name in ("no_repeat_ngram_size", "min_new_tokens", "forced_bos_id", "forced_eos_id"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"{name}: expected 0 or more, found {getattr(self, name)}.")
        most = {"greedy": 1, "beam": self.beams}.get(self.method, math.inf)
        if (self.num_return_sequences or 1) > most:
            raise ConfigError(
                f"num_return_sequences: method '{self.method}' gives {most} at most, found "
                f"{self.num_return_sequences}: make it less, or beams more, or sample."
            )

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
