"""What a model reads: tokens by their rows or hashes, or patches of images; and which choices go with which."""

from typing import TYPE_CHECKING

from t2t.errors import ConfigError

if TYPE_CHECKING:
    from t2t.models.config import ModelConfig


def feature_of(config: "ModelConfig") -> str:
    """The feature that an encoder of this config reads: tokens int [b n], or pixels float32 [b height width c]."""
    return "encoder_inputs" if config.patches is None else "encoder_pixels"


def check_inputs(config: "ModelConfig") -> None:
    """Raises ConfigError, naming the fields, where a config reads what its other choices cannot be made for."""
    patches, hashing, molecules = config.patches, config.hashing, config.molecules
    if patches is not None and config.architecture != "encoder":
        raise ConfigError(
            f"patches are of architecture 'encoder', found '{config.architecture}': give an encoder-decoder an encoder "
            "of its own, encoder=…, that has them."
        )
    if patches is not None and config.token_types:
        raise ConfigError(f"token_types: patches have none, found {config.token_types}: make them 0.")
    if patches is not None and config.positions == "learned" and config.max_length != patches.length:
        raise ConfigError(
            f"max_length: patches make {patches.length} tokens of an image, found {config.max_length}: make it as many."
        )
    if hashing is not None and config.table_width % hashing.functions:
        raise ConfigError(
            f"hashing: its {hashing.functions} functions share the width {config.table_width}, which is no multiple: "
            "give another number of functions."
        )
    if molecules is not None and (config.architecture == "decoder" or config.encoder is not None):
        raise ConfigError("molecules are of an encoder: make them None, or set them in the config's encoder.")
    if molecules is not None and config.positions in ("relative_bias", "rotary"):
        raise ConfigError(
            f"molecules: positions '{config.positions}' are those of one stack of tokens: use 'learned', 'sinusoidal' "
            "or 'none'."
        )
    if "vocabulary" in config.outputs and config.tie_logits and (patches or hashing):
        raise ConfigError("tie_logits: there is no table of tokens to tie to, but patches or hashes: make it False.")
