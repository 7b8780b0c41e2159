"""Images in, text out: an encoder of patches and a decoder that looks at it, each with choices of its own, as in
TrOCR (Li et al. 2021) and vit-gpt2. The published folders name the two after their own families; here the encoder is
ViT's, the decoder GPT-2's."""

import dataclasses
from collections.abc import Collection
from typing import Any

from t2t.errors import ConfigError
from t2t.families import gpt, vit
from t2t.families.family import Calls, Family, Values, need, start_of
from t2t.families.rows import CONV1D, CONV1D_OUT, FLAT, Layout, Row, linear, norm
from t2t.models import ModelConfig

CLASSES = {"VisionEncoderDecoderModel": ("vocabulary",)}
VIT, GPT2 = vit.FAMILIES[0], next(family for family in gpt.FAMILIES if family.name == "gpt2")
ALONE = {"architectures": ["GPT2LMHeadModel"], "add_cross_attention": False, "is_decoder": False}


def _both(encoder: ModelConfig, decoder: ModelConfig, start_id: int) -> ModelConfig:
    return dataclasses.replace(decoder, architecture="encoder-decoder", encoder=encoder, start_id=start_id)


_VIT = dataclasses.replace(vit.SIZES["vit_base_patch16_224"], outputs=(), labels=ModelConfig.labels, pooler="tanh")
SIZES = {"vision_encoder_decoder_vit_gpt2": _both(_VIT, gpt.SIZES["gpt2_small"], 50_256)}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Folders have the encoder's pooler, though nothing looks at it."""
    encoder, decoder = need(values, "encoder", "decoder")
    for side, of, there in (("encoder", encoder, VIT.name), ("decoder", decoder, GPT2.name)):
        if of.get("model_type") != there:
            found = of.get("model_type")
            raise ConfigError(f"config.json: {side}.model_type '{found}' is not supported; there is {there}.")
    of_encoder = {name.removeprefix("encoder.") for name in tensors if name.startswith("encoder.")}
    of_decoder = {name.removeprefix("decoder.") for name in tensors if name.startswith("decoder.")}
    alone = {"architectures": ["ViTModel"]}
    start = start_of(values, "bos_token_id", decoder.get("bos_token_id", 50_256))
    return _both(VIT.read({**encoder, **alone}, of_encoder), GPT2.read({**decoder, **ALONE}, of_decoder), start)


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    decoder = dataclasses.replace(config, architecture="decoder", encoder=None, encoder_layers=0, start_id=None)
    written = GPT2.write(decoder)
    return {
        "architectures": ["VisionEncoderDecoderModel"],
        "is_encoder_decoder": True,
        "decoder_start_token_id": config.start_id,
        "encoder": {"model_type": "vit", **VIT.write(config.encoder)},
        "decoder": {"model_type": "gpt2", **written, "add_cross_attention": True, "is_decoder": True},
        "tie_word_embeddings": False,
    }


def rows(config: ModelConfig) -> list[Row]:
    """Both stacks, what GPT-2 has more in its layers, and what leads from one width to another."""
    found = vit.trunk(config.encoder, "encoder.", tokens="encoder_tokens")
    found += [dataclasses.replace(row, theirs=f"decoder.{row.theirs}") for row in GPT2.rows(config)]
    ours, theirs = "decoder/layer_{i}/cross_attention", "decoder.transformer.h.{i}.crossattention"
    found += norm(f"{ours}_norm", "decoder.transformer.h.{i}.ln_cross_attn")
    found.append(Row(f"{ours}/query/kernel", f"{theirs}.q_attn.weight", CONV1D))
    found.append(Row(f"{ours}/query/bias", f"{theirs}.q_attn.bias", FLAT))
    for i, role in enumerate(("key", "value")):
        kernel, bias = Layout("kernel", transposed=False, part=(i, 2)), Layout("flat", part=(i, 2))
        found.append(Row(f"{ours}/{role}/kernel", f"{theirs}.c_attn.weight", kernel))
        found.append(Row(f"{ours}/{role}/bias", f"{theirs}.c_attn.bias", bias))
    found += linear(f"{ours}/out", f"{theirs}.c_proj", layout=CONV1D_OUT)
    if config.encoder.pooler:
        found += linear("encoder_heads/pooler", "encoder.pooler.dense")
    if config.encoder.width != config.width:
        found += linear("bridge", "enc_to_dec_proj")
    return found


SILENT = r"decoder\..*\.(attn|crossattention)\.(masked_)?bias"
FAMILIES = (
    Family(
        "vision-encoder-decoder", read, write, rows, classes=CLASSES, silent=SILENT, calls=Calls(normed=("decoder",))
    ),
)
