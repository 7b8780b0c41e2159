"""The models that are held against Hugging Face's: a class and its config, and inputs; folders and results are the
peer's.

A case is a row: (class, config class, settings). What is drawn at random is drawn anew, and none of it is degenerate.
"""

import numpy as np

VOCABULARY = 61
_IDS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 0}
_T5 = {
    **_IDS, "decoder_start_token_id": 0, "d_model": 16, "d_kv": 6, "d_ff": 24, "num_heads": 2, "num_layers": 2,
    "num_decoder_layers": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20,
    "dropout_rate": 0.0,
}  # fmt: skip
_BART = {
    **_IDS, "decoder_start_token_id": 0, "forced_eos_token_id": None, "forced_bos_token_id": None, "d_model": 16,
    "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 40, "dropout": 0.0,
    "attention_dropout": 0.0,
}  # fmt: skip
_GPT2 = {
    **_IDS, "n_positions": 40, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_inner": 24, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
T5, BART, GPT2 = "T5ForConditionalGeneration", "BartForConditionalGeneration", "GPT2LMHeadModel"
CASES: dict[str, tuple[str, str, dict]] = {
    "t5_v1_0": (T5, "T5Config", {**_T5, "feed_forward_proj": "relu", "scale_decoder_outputs": True}),
    "t5_v1_1": (
        T5, "T5Config",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "scale_decoder_outputs": False},
    ),
    "t5_gated_silu": (
        T5, "T5Config",
        {**_T5, "num_decoder_layers": 1, "feed_forward_proj": "gated-silu", "layer_norm_epsilon": 1e-2},
    ),
    "mt5": ("MT5ForConditionalGeneration", "MT5Config", {**_T5, "feed_forward_proj": "gated-gelu"}),
    "gpt2": (GPT2, "GPT2Config", {**_GPT2, "activation_function": "gelu_new"}),
    "gpt2_relu_unscaled": (
        GPT2, "GPT2Config",
        {**_GPT2, "n_layer": 2, "n_inner": None, "activation_function": "relu", "scale_attn_weights": False,
         "layer_norm_epsilon": 1e-2},
    ),
    "marian_relu": ("MarianMTModel", "MarianConfig", {**_BART, "activation_function": "relu", "scale_embedding": True}),
    "marian_swish": ("MarianMTModel", "MarianConfig", {**_BART, "activation_function": "swish"}),
    "bart": (BART, "BartConfig", {**_BART, "activation_function": "gelu"}),
    "bart_scaled": (
        BART, "BartConfig", {**_BART, "decoder_layers": 1, "activation_function": "relu", "scale_embedding": True},
    ),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", {**_BART, "scale_embedding": True}),
    "pegasus": (
        "PegasusForConditionalGeneration", "PegasusConfig",
        {**_BART, "activation_function": "relu", "scale_embedding": True},
    ),
}  # fmt: skip


def inputs(case: str) -> dict[str, np.ndarray]:
    """Token ids of a padded batch of odd lengths: two rows, of which the second is shorter."""
    generator = np.random.default_rng(sum(map(ord, case)))
    tokens, targets = generator.integers(3, VOCABULARY, (2, 11)), generator.integers(3, VOCABULARY, (2, 7))
    mask, targets_mask = np.ones((2, 11), np.int32), np.ones((2, 7), np.int32)
    mask[1, 6:] = 0
    targets_mask[1, 5:] = 0
    return {"tokens": tokens * mask, "mask": mask, "targets": targets * targets_mask, "targets_mask": targets_mask}


def batch(case: str, architecture: str) -> dict[str, np.ndarray]:
    """The same as features of t2t."""
    given = {k: v.astype(np.int32) for k, v in inputs(case).items()}
    if architecture == "decoder":
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
