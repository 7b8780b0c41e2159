"""ViT (Dosovitskiy et al. 2021): a pre-norm encoder of patches of images."""

from collections.abc import Collection
from typing import Any

from t2t.families.family import NAMES_OF_ACTIVATIONS, Calls, Family, Values, activation, need
from t2t.families.heads import Head, class_of, head_rows, labels_in, outputs_of, pooler_of
from t2t.families.rows import Layout, Row, attention, linear, norm
from t2t.layers.patches import Patches
from t2t.models import ModelConfig

CLASSES = {"ViTForImageClassification": ("sequence",), "ViTModel": ()}
HEADS = {("sequence",): Head("classifier"), (): Head("", "vit.pooler.dense", optional=True)}


def _size(width: int, heads: int, layers: int, patch: int) -> ModelConfig:
    patches = Patches(image=(224, 224), patch=(patch, patch))
    return ModelConfig(
        architecture="encoder",
        width=width,
        heads=heads,
        mlp_width=4 * width,
        encoder_layers=layers,
        norm_epsilon=1e-12,
        activation="gelu",
        positions="learned",
        max_length=patches.length,
        patches=patches,
        init="normal",
        outputs=("sequence",),
        labels=1000,
    )


SIZES = {
    "vit_base_patch16_224": _size(768, 12, 12, 16),
    "vit_large_patch16_224": _size(1024, 16, 24, 16),
    "vit_huge_patch14_224": _size(1280, 16, 32, 14),
}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Sides may be a number or a pair in config.json."""
    width, layers, heads, mlp_width, image, patch = need(
        values,
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "image_size",
        "patch_size",
    )
    patches = Patches(image=_pair(image), patch=_pair(patch), channels=values.get("num_channels", 3))
    outputs = outputs_of(values, CLASSES)
    pooler_width = values.get("pooler_output_size") or width
    pooled = pooler_of(HEADS[outputs], tensors, "vit.")
    return ModelConfig(
        architecture="encoder",
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=layers,
        norm_epsilon=values.get("layer_norm_eps", 1e-12),
        attention_bias=None if values.get("qkv_bias", True) else ("out",),
        activation=activation(values, "hidden_act", "gelu"),
        positions="learned",
        max_length=patches.length,
        patches=patches,
        dropout=values.get("hidden_dropout_prob", 0.0),
        attention_dropout=values.get("attention_probs_dropout_prob", 0.0),
        init="normal",
        init_std=values.get("initializer_range", 0.02),
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooler=pooled and _pooler_activation(values),
        pooler_width=None if not pooled or pooler_width == width else pooler_width,
    )


def _pooler_activation(values: Values) -> str:
    return "tanh" if values.get("pooler_act", "tanh") == "tanh" else activation(values, "pooler_act", "tanh")


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`."""
    patches = config.patches
    pooler = {
        "pooler_act": NAMES_OF_ACTIVATIONS.get(config.pooler, config.pooler),
        "pooler_output_size": config.pooler_width or config.width,
    }
    return {
        "architectures": [class_of(config.outputs, CLASSES)],
        "hidden_size": config.width,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "hidden_act": NAMES_OF_ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "initializer_range": config.init_std,
        "layer_norm_eps": config.norm_epsilon,
        "image_size": _number(patches.image),
        "patch_size": _number(patches.patch),
        "num_channels": patches.channels,
        "qkv_bias": config.has_bias("query"),
        **(pooler if config.pooler else {}),
    }


def _pair(side: int | list[int]) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else tuple(side)


def _number(sides: tuple[int, int]) -> int | list[int]:
    return sides[0] if sides[0] == sides[1] else list(sides)


def rows(config: ModelConfig) -> list[Row]:
    """The trunk and the head."""
    return trunk(config, "vit.") + head_rows(config, HEADS[config.outputs])


def trunk(config: ModelConfig, before: str, tokens: str = "tokens") -> list[Row]:
    """An encoder's names, after `before`; ours of the patches after `tokens`. Attention alone has no bias where the
    config has none of queries."""
    embeddings = f"{before}embeddings"
    found = [
        Row(f"{tokens}/whole", f"{embeddings}.cls_token", Layout(lead=1)),
        Row("encoder_embedder/positions/table", f"{embeddings}.position_embeddings", Layout(lead=1)),
        *linear(f"{tokens}/patches", f"{embeddings}.patch_embeddings.projection", layout=Layout("convolution")),
        *norm("encoder/norm", f"{before}layernorm"),
    ]
    ours, theirs = "encoder/layer_{i}", f"{before}encoder.layer.{{i}}"
    names = (*(f"attention.{name}" for name in ("query", "key", "value")), "output.dense")
    bias = config.bias if config.attention_bias is None else config.attention_bias
    found += attention(f"{ours}/self_attention", f"{theirs}.attention", names, bias=bias)
    found += linear(f"{ours}/feed_forward/in", f"{theirs}.intermediate.dense")
    found += linear(f"{ours}/feed_forward/out", f"{theirs}.output.dense")
    for part, name in (("self_attention", "layernorm_before"), ("feed_forward", "layernorm_after")):
        found += norm(f"{ours}/{part}_norm", f"{theirs}.{name}")
    return found


FAMILIES = (
    Family(
        "vit",
        read,
        write,
        rows,
        classes=CLASSES,
        prefix="vit.",
        silent=r"(vit\.)?pooler\.dense\..*",
        calls=Calls(normed=()),
    ),
)
