"""The whole model as one value: what its layers are (LayerConfig) and what stands around them."""

import dataclasses
from typing import Literal

from t2t.errors import ConfigError
from t2t.layers.config import LayerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(LayerConfig):
    """Any system of the literature that t2t covers is a value of this class."""

    architecture: Literal["encoder", "decoder", "encoder-decoder"] = "encoder-decoder"
    vocab_size: int = 0  # v: rows of the embedding table, ids 0 … v-1; 0: the vocabulary's own, filled in by a run
    encoder_layers: int = 0
    decoder_layers: int = 0
    max_length: int = 512  # longest sequence that learned and sinusoidal positions cover; relative ones have no limit

    final_norm: bool = True  # after the last layer of each stack; post-norm models have none
    final_dropout: bool = False  # dropout after the final norm, as T5
    scale_embeddings: bool = False  # multiply token embeddings by sqrt(d), as the original Transformer
    share_embeddings: bool = True  # encoder and decoder use one token table
    tie_logits: bool = True  # logits = states · token table
    scale_logits: bool = False  # divide states by sqrt(d) before tied logits, as T5 v1.0
    logits_bias: bool = False

    stacking: Literal["unrolled", "scanned"] = "unrolled"
    remat: Literal["none", "dots", "full"] = (
        "none"  # what the backward pass recomputes: nothing, all but matrix products, all
    )

    def __post_init__(self):
        super().__post_init__()
        need = {
            "encoder": ("encoder_layers",),
            "decoder": ("decoder_layers",),
            "encoder-decoder": ("encoder_layers", "decoder_layers"),
        }[self.architecture]
        for name in ("encoder_layers", "decoder_layers"):
            layers = getattr(self, name)
            if name in need and layers < 1:
                raise ConfigError(f"architecture '{self.architecture}' needs {name} of at least 1, found {layers}.")
            if name not in need and layers:
                raise ConfigError(f"architecture '{self.architecture}' has no {name}, found {layers}: set it to 0.")
        if self.vocab_size < 0:
            raise ConfigError(
                f"vocab_size: expected at least 1, or 0 for the vocabulary's own, found {self.vocab_size}."
            )
        if self.scale_logits and not self.tie_logits:
            raise ConfigError("scale_logits scales tied logits, found tie_logits False: set one or the other.")
