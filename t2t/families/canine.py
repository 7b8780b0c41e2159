"""CANINE (Clark et al. 2022): a post-norm encoder that reads characters, by their hashes, and whose deep layers are
over molecules of several. CANINE-S and CANINE-C differ in how they were trained alone."""

import re
from collections.abc import Collection
from typing import Any

from t2t.attention import Sparse
from t2t.errors import ConfigError
from t2t.families.family import NAMES_OF_ACTIVATIONS, Family, Values, activation, need
from t2t.families.heads import Head, class_of, classes, head_rows, labels_in, outputs_of, pooler_of
from t2t.families.rows import Layout, Row, attention, linear, norm
from t2t.layers.hashing import Hashing
from t2t.layers.molecules import Molecules
from t2t.models import ModelConfig

UNICODE = 0x110000  # code points there are
CLASSES = classes("Canine", without=("ForMaskedLM",))
_OUT = {("spans",): "qa_outputs", (): ""}
HEADS = {
    outputs: Head(_OUT.get(outputs, "classifier"), "canine.pooler.dense", optional=True) for outputs in CLASSES.values()
}


def _config(**choices: Any) -> ModelConfig:
    return ModelConfig(
        architecture="encoder",
        vocab_size=UNICODE,
        norm_place="post",
        final_norm=False,
        embedding_norm=True,
        blind="mean",
        positions="learned",
        init="normal",
        **choices,
    )


_CANINE = _config(
    width=768,
    heads=12,
    mlp_width=3072,
    encoder_layers=12,
    norm_epsilon=1e-12,
    activation="gelu",
    hashing=Hashing(),
    max_length=16_384,
    token_types=16,
    molecules=Molecules(),
    dropout=0.1,
    attention_dropout=0.1,
    outputs=(),
    pooler="tanh",
)
SIZES = {"canine_s": _CANINE, "canine_c": _CANINE}


def read(values: Values, tensors: Collection[str]) -> ModelConfig:
    """The table of positions has a row for each bucket, whatever max_position_embeddings says."""
    width, layers, heads, mlp_width = need(
        values, "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"
    )
    outputs = outputs_of(values, CLASSES)
    hashing = Hashing(functions=values.get("num_hash_functions", 8), buckets=values.get("num_hash_buckets", 16_384))
    return _config(
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=layers,
        norm_epsilon=values.get("layer_norm_eps", 1e-12),
        activation=activation(values, "hidden_act", "gelu"),
        hashing=hashing,
        max_length=hashing.buckets,
        token_types=values.get("type_vocab_size", 16),
        molecules=Molecules(
            rate=values.get("downsampling_rate", 4),
            kernel=values.get("upsampling_kernel_size", 4),
            first=Sparse(pattern=f"blocks({values.get('local_transformer_stride', 128)})", counted="row"),
        ),
        dropout=values.get("hidden_dropout_prob", 0.1),
        attention_dropout=values.get("attention_probs_dropout_prob", 0.1),
        init_std=values.get("initializer_range", 0.02),
        outputs=outputs,
        labels=labels_in(values, outputs),
        pooler=pooler_of(HEADS[outputs], tensors, "canine."),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read`.

    Raises:
      ConfigError: the first layer looks at something other than blocks.
    """
    blocks = re.fullmatch(r"blocks\((\d+)\)", str(getattr(config.molecules.first, "pattern", "")))
    if blocks is None:
        raise ConfigError(
            f"molecules.first: CANINE's is Sparse(pattern='blocks(…)', counted='row'), found {config.molecules.first}."
        )
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
        "type_vocab_size": config.token_types,
        "num_hash_functions": config.hashing.functions,
        "num_hash_buckets": config.hashing.buckets,
        "downsampling_rate": config.molecules.rate,
        "upsampling_kernel_size": config.molecules.kernel,
        "local_transformer_stride": int(blocks[1]),
    }


def rows(config: ModelConfig) -> list[Row]:
    """The embeddings, the three stacks, what leads from one to the next, and the head."""
    embeddings = "canine.char_embeddings"
    found = [
        Row(f"tokens/table_{i}", f"{embeddings}.HashBucketCodepointEmbedder_{i}.weight")
        for i in range(config.hashing.functions)
    ]
    found.append(Row("encoder_embedder/positions/table", f"{embeddings}.char_position_embeddings.weight"))
    found.append(Row("encoder_embedder/types", f"{embeddings}.token_type_embeddings.weight"))
    found += norm("encoder_embedder/norm", f"{embeddings}.LayerNorm")
    for ours, theirs in (("join", "chars_to_molecules"), ("spread", "projection")):
        kernel = Layout("convolution")
        found += linear(f"encoder/{ours}/convolution", f"canine.{theirs}.conv", layout=kernel)
        found += norm(f"encoder/{ours}/norm", f"canine.{theirs}.LayerNorm")
    for ours, theirs in (("first", "initial_char_encoder"), ("deep", "encoder"), ("last", "final_char_encoder")):
        found += layer(f"encoder/{ours}/layer_{{i}}", f"canine.{theirs}.layer.{{i}}")
    return found + head_rows(config, HEADS[config.outputs])


def layer(ours: str, theirs: str) -> list[Row]:
    """One layer, as BERT's."""
    names = (*(f"self.{name}" for name in ("query", "key", "value")), "output.dense")
    return [
        *attention(f"{ours}/self_attention", f"{theirs}.attention", names),
        *norm(f"{ours}/self_attention_norm", f"{theirs}.attention.output.LayerNorm"),
        *linear(f"{ours}/feed_forward/in", f"{theirs}.intermediate.dense"),
        *linear(f"{ours}/feed_forward/out", f"{theirs}.output.dense"),
        *norm(f"{ours}/feed_forward_norm", f"{theirs}.output.LayerNorm"),
    ]


FAMILIES = (Family("canine", read, write, rows, classes=CLASSES, prefix="canine.", silent=r".*\.position_ids"),)
