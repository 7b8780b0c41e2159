"""Hugging Face models with random weights, and their state dicts as parameters of t2t: one row a tensor.

The rows are data: (path in t2t, name in the file, how the tensor is laid out). Layouts: "T" transposes [out, in] to
[in, out];
"in" also splits the out axis into heads; "out" splits the in axis into heads; "heads" splits a bias; "=" takes it as
it is.
"""

import numpy as np

from t2t.models import ModelConfig


def convert(tensors, rows, config: ModelConfig) -> dict:
    """A tree of parameters from named tensors."""
    d, h, k = config.width, config.heads, config.head_width
    layouts = {
        "=": lambda x: x,
        "T": lambda x: x.T,
        "in": lambda x: x.T.reshape(d, h, k),
        "out": lambda x: x.T.reshape(h, k, d),
        "heads": lambda x: x.reshape(h, k),
        "in'": lambda x: x.reshape(d, h, k),
        "out'": lambda x: x.reshape(h, k, d),
    }
    params: dict = {}
    for path, name, layout in rows:
        node = params
        *parents, leaf = path.split("/")
        for parent in parents:
            node = node.setdefault(parent, {})
        tensor = tensors(name) if callable(tensors) else tensors[name]
        node[leaf] = np.asarray(layouts[layout](np.asarray(tensor)), np.float32)
    return params


def t5_rows(config: ModelConfig) -> list[tuple[str, str, str]]:
    """T5 v1.0 and v1.1."""
    rows = [("tokens/table", "shared.weight", "=")]
    for side, layers, parts in (
        ("encoder", config.encoder_layers, ("self_attention", "feed_forward")),
        ("decoder", config.decoder_layers, ("self_attention", "cross_attention", "feed_forward")),
    ):
        rows += [
            (
                f"{side}/relative_bias/table",
                f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                "T",
            ),
            (f"{side}/norm/scale", f"{side}.final_layer_norm.weight", "="),
        ]
        for i in range(layers):
            for j, part in enumerate(parts):
                ours, theirs = f"{side}/layer_{i}", f"{side}.block.{i}.layer.{j}"
                rows.append((f"{ours}/{part}_norm/scale", f"{theirs}.layer_norm.weight", "="))
                if part == "feed_forward":
                    names = {"gate": "wi_0", "in": "wi_1", "out": "wo"} if config.gated else {"in": "wi", "out": "wo"}
                    rows += [
                        (f"{ours}/{part}/{a}/kernel", f"{theirs}.DenseReluDense.{b}.weight", "T")
                        for a, b in names.items()
                    ]
                else:
                    module = "SelfAttention" if part == "self_attention" else "EncDecAttention"
                    rows += [
                        (f"{ours}/{part}/{a}/kernel", f"{theirs}.{module}.{b}.weight", "out" if a == "out" else "in")
                        for a, b in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o"))
                    ]
    if not config.tie_logits:
        rows.append(("logits/projection/kernel", "lm_head.weight", "T"))
    return rows


def gpt2_rows(config: ModelConfig) -> list[tuple[str, str, str]]:
    """GPT-2: kernels are [in, out], and query, key and value stand side by side (names ending in |q, |k, |v)."""
    rows = [
        ("tokens/table", "transformer.wte.weight", "="),
        ("decoder_embedder/positions/table", "transformer.wpe.weight", "="),
        ("decoder/norm/scale", "transformer.ln_f.weight", "="),
        ("decoder/norm/bias", "transformer.ln_f.bias", "="),
    ]
    for i in range(config.decoder_layers):
        ours, theirs = f"decoder/layer_{i}", f"transformer.h.{i}"
        for part, norm in (("self_attention", "ln_1"), ("feed_forward", "ln_2")):
            rows += [
                (f"{ours}/{part}_norm/{a}", f"{theirs}.{norm}.{b}", "=")
                for a, b in (("scale", "weight"), ("bias", "bias"))
            ]
        for a, b in (("query", "q"), ("key", "k"), ("value", "v")):
            rows += [
                (f"{ours}/self_attention/{a}/kernel", f"{theirs}.attn.c_attn.weight|{b}", "in'"),
                (f"{ours}/self_attention/{a}/bias", f"{theirs}.attn.c_attn.bias|{b}", "heads"),
            ]
        rows += [
            (f"{ours}/self_attention/out/kernel", f"{theirs}.attn.c_proj.weight", "out'"),
            (f"{ours}/self_attention/out/bias", f"{theirs}.attn.c_proj.bias", "="),
        ]
        for a, b in (("in", "c_fc"), ("out", "c_proj")):
            rows += [
                (f"{ours}/feed_forward/{a}/kernel", f"{theirs}.mlp.{b}.weight", "="),
                (f"{ours}/feed_forward/{a}/bias", f"{theirs}.mlp.{b}.bias", "="),
            ]
    return rows


def marian_rows(config: ModelConfig) -> list[tuple[str, str, str]]:
    """Marian: the original Transformer, with a bias on the logits."""
    rows = [("tokens/table", "model.shared.weight", "="), ("logits/bias", "final_logits_bias", "=")]
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for i in range(layers):
            ours, theirs = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            parts = [("self_attention", "self_attn", "self_attn_layer_norm"), ("feed_forward", "", "final_layer_norm")]
            if side == "decoder":
                parts.append(("cross_attention", "encoder_attn", "encoder_attn_layer_norm"))
            for part, module, norm in parts:
                rows += [
                    (f"{ours}/{part}_norm/{a}", f"{theirs}.{norm}.{b}", "=")
                    for a, b in (("scale", "weight"), ("bias", "bias"))
                ]
                if part == "feed_forward":
                    for a, b in (("in", "fc1"), ("out", "fc2")):
                        rows += [
                            (f"{ours}/{part}/{a}/kernel", f"{theirs}.{b}.weight", "T"),
                            (f"{ours}/{part}/{a}/bias", f"{theirs}.{b}.bias", "="),
                        ]
                    continue
                for a, b in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "out_proj")):
                    rows += [
                        (f"{ours}/{part}/{a}/kernel", f"{theirs}.{module}.{b}.weight", "out" if a == "out" else "in"),
                        (f"{ours}/{part}/{a}/bias", f"{theirs}.{module}.{b}.bias", "=" if a == "out" else "heads"),
                    ]
    return rows


_SMALL = dict(vocab_size=61, width=16, heads=2, mlp_width=24)
_T5 = dict(
    **_SMALL,
    head_width=6,
    architecture="encoder-decoder",
    encoder_layers=2,
    decoder_layers=3,
    norm="rms",
    bias=False,
    scale_attention=False,
    positions="relative_bias",
    relative_buckets=8,
    relative_max_distance=20,
    final_norm=True,
)
_MARIAN = dict(
    **_SMALL,
    architecture="encoder-decoder",
    encoder_layers=2,
    decoder_layers=2,
    norm="layer",
    norm_place="post",
    norm_epsilon=1e-5,
    final_norm=False,
    bias=True,
    positions="sinusoidal",
    max_length=40,
    logits_bias=True,
)
CASES: dict[str, ModelConfig] = {
    "t5_v1_0": ModelConfig(**_T5, activation="relu", tie_logits=True, scale_logits=True),
    "t5_v1_1": ModelConfig(**_T5, activation="gelu_tanh", gated=True, tie_logits=False),
    "gpt2": ModelConfig(
        **_SMALL,
        architecture="decoder",
        decoder_layers=3,
        norm="layer",
        norm_epsilon=1e-5,
        bias=True,
        activation="gelu_tanh",
        positions="learned",
        max_length=40,
    ),
    "marian_relu": ModelConfig(**_MARIAN, activation="relu", scale_embeddings=True),
    "marian_swish": ModelConfig(**_MARIAN, activation="silu", scale_embeddings=False),
}
ROWS = {
    "t5_v1_0": t5_rows,
    "t5_v1_1": t5_rows,
    "gpt2": gpt2_rows,
    "marian_relu": marian_rows,
    "marian_swish": marian_rows,
}


def inputs(case: str) -> dict[str, np.ndarray]:
    """Token ids of a padded batch of odd lengths: two rows, of which the second is shorter."""
    generator = np.random.default_rng(sum(map(ord, case)))
    tokens, targets = generator.integers(3, 61, (2, 11)), generator.integers(3, 61, (2, 7))
    mask, targets_mask = np.ones((2, 11), np.int32), np.ones((2, 7), np.int32)
    mask[1, 6:] = 0
    targets_mask[1, 5:] = 0
    return {"tokens": tokens * mask, "mask": mask, "targets": targets * targets_mask, "targets_mask": targets_mask}


def batch(case: str) -> dict[str, np.ndarray]:
    """The same as features of t2t."""
    given = {k: v.astype(np.int32) for k, v in inputs(case).items()}
    if CASES[case].architecture == "decoder":
        mask = given["mask"]
        shifted = np.roll(given["tokens"], -1, axis=1) * np.roll(mask, -1, axis=1)
        shifted[:, -1] = 0
        weights = np.roll(mask, -1, axis=1)
        weights[:, -1] = 0
        return {
            "decoder_inputs": given["tokens"],
            "decoder_segments": mask,
            "targets": shifted,
            "loss_weights": weights.astype(np.float32),
        }
    decoder_inputs = np.concatenate([np.zeros((2, 1), np.int32), given["targets"][:, :-1]], axis=1)
    return {
        "encoder_inputs": given["tokens"],
        "encoder_segments": given["mask"],
        "decoder_inputs": decoder_inputs,
        "targets": given["targets"],
        "loss_weights": given["targets_mask"].astype(np.float32),
    }
