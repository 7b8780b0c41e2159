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
_BERT = {
    **_IDS, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.0, "layer_norm_eps": 1e-2,
    "attention_probs_dropout_prob": 0.0,
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
    "bert": ("BertForMaskedLM", "BertConfig", {**_BERT, "hidden_act": "gelu"}),
    "bert_relu": ("BertForMaskedLM", "BertConfig", {**_BERT, "num_hidden_layers": 1, "hidden_act": "relu"}),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**_BERT, "pad_token_id": 1, "hidden_act": "gelu_new"}),
    "xlm_roberta": ("XLMRobertaForMaskedLM", "XLMRobertaConfig", {**_BERT, "pad_token_id": 2, "type_vocab_size": 1}),
    "electra": ("ElectraForMaskedLM", "ElectraConfig", {**_BERT, "embedding_size": 10, "hidden_act": "relu"}),
    "electra_wide": ("ElectraForMaskedLM", "ElectraConfig", {**_BERT, "embedding_size": 16}),
    "distilbert": (
        "DistilBertForMaskedLM", "DistilBertConfig",
        {**_IDS, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 40,
         "dropout": 0.0, "attention_dropout": 0.0, "activation": "relu"},
    ),
}  # fmt: skip


ENCODERS = [case for case, (name, _, _) in CASES.items() if name.endswith("ForMaskedLM")]
FROM_IDS = ("roberta", "xlm_roberta")  # whose positions count the tokens that are no padding


def inputs(case: str) -> dict[str, np.ndarray]:
    """Token ids of a padded batch of odd lengths: rows of which the second is shorter; of encoders a third is, too, and
    is padded on the left."""
    settings, generator = CASES[case][2], np.random.default_rng(sum(map(ord, case)))
    pad = settings["pad_token_id"]
    if case in ENCODERS:
        mask = np.ones((3, 11), np.int32)
        mask[1, 6:] = mask[2, :4] = 0
        tokens = generator.integers(3, VOCABULARY, mask.shape)
        learned = mask * (generator.random(mask.shape) < 0.4)
        learned[:, 5] = 1
        given = {"tokens": np.where(mask, tokens, pad), "mask": mask, "learned": learned}
        given["targets"] = generator.integers(3, VOCABULARY, mask.shape)
        if settings.get("type_vocab_size"):
            given["types"] = generator.integers(0, settings["type_vocab_size"], mask.shape)
        return given
    tokens, targets = generator.integers(3, VOCABULARY, (2, 11)), generator.integers(3, VOCABULARY, (2, 7))
    mask, targets_mask = np.ones((2, 11), np.int32), np.ones((2, 7), np.int32)
    mask[1, 6:] = 0
    targets_mask[1, 5:] = 0
    return {"tokens": tokens * mask, "mask": mask, "targets": targets * targets_mask, "targets_mask": targets_mask}


def batch(case: str) -> dict[str, np.ndarray]:
    """The same as features of t2t."""
    given = {k: v.astype(np.int32) for k, v in inputs(case).items()}
    mask = given["mask"]
    if case in ENCODERS:
        features = {"encoder_inputs": given["tokens"], "encoder_segments": mask, "targets": given["targets"]}
        if "types" in given:
            features["encoder_types"] = given["types"]
        if case in FROM_IDS:
            features["encoder_positions"] = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        return features | {"loss_weights": given["learned"].astype(np.float32)}
    if "n_embd" in CASES[case][2]:
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
