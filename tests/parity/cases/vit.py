"""ViT, and ViT with GPT-2 as its words."""

import numpy as np

from cases.case import IDS, Case, names

_VIT = {
    "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 8,
    "patch_size": 4, "layer_norm_eps": 1e-2,
}  # fmt: skip
_GPT2 = {
    **IDS, "model_type": "gpt2", "n_positions": 20, "n_embd": 12, "n_layer": 1, "n_head": 2, "n_inner": 16,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "add_cross_attention": True, "is_decoder": True,
}  # fmt: skip


def images(generator, settings):
    """Three images, channels first, as transformers has them."""
    side = settings["image_size"]
    sides = (side, side) if isinstance(side, int) else side
    return {"pixel_values": generator.normal(size=(3, settings.get("num_channels", 3), *sides)).astype(np.float32)}


def larger(generator, settings):
    """Images of another size, over which positions stretch, in one direction more than in the other."""
    given = classified(generator, {**settings, "image_size": [12, 20]})
    return given | {"interpolate_pos_encoding": np.array(True)}


def classified(generator, settings):
    """A class for each image."""
    return images(generator, settings) | {"labels": generator.integers(0, len(settings["id2label"]), 3)}


def measured(generator, settings):
    """A number for each image."""
    return images(generator, settings) | {"labels": generator.normal(size=3).astype(np.float32)}


def captioned(generator, settings):
    """Two images and their captions, of which the second is shorter."""
    labels = generator.integers(3, settings["decoder"]["vocab_size"], (2, 7))
    labels[1, 5:] = -100
    return {"pixel_values": images(generator, settings["encoder"])["pixel_values"][:2], "labels": labels}


def prompted(generator, settings):
    """The decoder's inputs are given, padded on the left."""
    given = captioned(generator, settings)
    mask = np.ones((2, 7), np.int64)
    mask[1, :2] = 0
    inputs = generator.integers(3, settings["decoder"]["vocab_size"], mask.shape) * mask
    given["labels"] = np.where(mask, given["labels"], -100)
    return given | {"decoder_input_ids": inputs, "decoder_attention_mask": mask}


def _captioning(arguments, encoder, decoder, generates=True):
    settings = {
        "encoder": {**_VIT, "model_type": "vit", **encoder}, "decoder": {**_GPT2, **decoder},
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
    }  # fmt: skip
    return Case("VisionEncoderDecoderModel", "VisionEncoderDecoderConfig", settings, arguments, generates=generates)


_CLASSES = "ViTForImageClassification"
CASES = {
    "vit": Case(_CLASSES, "ViTConfig", {**_VIT, **names(3)}, classified),
    "vit_number": Case(
        _CLASSES, "ViTConfig",
        {**_VIT, **names(1), "image_size": 14, "num_channels": 1, "hidden_act": "gelu_new", "num_attention_heads": 4},
        measured,
    ),
    "vit_oblong": Case(
        _CLASSES, "ViTConfig",
        {**_VIT, **names(4), "image_size": [6, 13], "patch_size": [2, 5], "qkv_bias": False, "hidden_act": "relu"},
        classified,
    ),
    "vit_larger": Case(_CLASSES, "ViTConfig", {**_VIT, **names(3)}, larger),
    "vit_smaller": Case(_CLASSES, "ViTConfig", {**_VIT, **names(3), "image_size": 32}, larger),
    "vit_base": Case("ViTModel", "ViTConfig", {**_VIT, "num_channels": 4, "qkv_bias": False}, images),
    "vit_base_pooler": Case(
        "ViTModel", "ViTConfig", {**_VIT, "image_size": 12, "pooler_output_size": 10, "pooler_act": "relu"}, images
    ),
    "captioning": _captioning(captioned, {}, {}),
    "captioning_bridge": _captioning(
        captioned, {"hidden_size": 8, "num_hidden_layers": 1, "hidden_act": "relu", "qkv_bias": False},
        {"activation_function": "gelu", "layer_norm_epsilon": 1e-3, "n_layer": 2,
         "scale_attn_by_inverse_layer_idx": True},
    ),
    "captioning_prompt": _captioning(prompted, {"image_size": [8, 12], "num_hidden_layers": 1}, {}, generates=False),
}  # fmt: skip
