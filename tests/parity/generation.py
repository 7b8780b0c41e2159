"""What generation is held against Hugging Face's with: tiny models, inputs, and arguments of generate()."""

import numpy as np

_TINY = {"vocab_size": 19, "dropout": 0.0}
_GPT2 = {
    **_TINY, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 24, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 5, "eos_token_id": 5,
}  # fmt: skip
_BART = {
    **_TINY, "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 30,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2,
}  # fmt: skip
SUMMARIES = {  # of a generation_config.json, as bart-large-cnn's
    "num_beams": 4, "length_penalty": 2.0, "min_length": 5, "max_length": 12, "no_repeat_ngram_size": 3,
    "early_stopping": True, "forced_bos_token_id": 0,
}  # fmt: skip
_CAPTIONS = {
    "encoder": {
        "model_type": "vit", "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "image_size": 8, "patch_size": 4,
    },
    "decoder": {**_GPT2, "model_type": "gpt2", "n_layer": 1, "add_cross_attention": True, "is_decoder": True},
    "decoder_start_token_id": 5, "eos_token_id": 5, "pad_token_id": 7,
}  # fmt: skip
_XLNET = {
    **_TINY, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "bos_token_id": 1, "pad_token_id": 5,
    "eos_token_id": 2,
}  # fmt: skip
MODELS = {  # class, config class, settings, of generation_config.json
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2, {}),
    "gpt2_with_pad": ("GPT2LMHeadModel", "GPT2Config", {**_GPT2, "eos_token_id": [5, 9], "pad_token_id": 7}, {}),
    "t5": (
        "T5ForConditionalGeneration", "T5Config",
        {"vocab_size": 19, "d_model": 16, "d_kv": 6, "d_ff": 24, "num_heads": 2, "num_layers": 1,
         "num_decoder_layers": 2, "dropout_rate": 0.0, "decoder_start_token_id": 0}, {},
    ),
    "bart": ("BartForConditionalGeneration", "BartConfig", _BART, {}),
    "bart_summaries": ("BartForConditionalGeneration", "BartConfig", _BART, SUMMARIES),
    "captions": ("VisionEncoderDecoderModel", "VisionEncoderDecoderConfig", _CAPTIONS, {}),
    "mbart": (
        "MBartForConditionalGeneration", "MBartConfig",
        {**_BART, "decoder_start_token_id": 17}, {"forced_bos_token_id": 18},
    ),
    "marian": (
        "MarianMTModel", "MarianConfig",
        {**_BART, "pad_token_id": 18, "eos_token_id": 0, "decoder_start_token_id": 18, "forced_eos_token_id": 0},
        {"bad_words_ids": [[18]], "num_beams": 3, "no_repeat_ngram_size": 2},
    ),
    "xlnet": ("XLNetLMHeadModel", "XLNetConfig", _XLNET, {}),
    "xlnet_memory": ("XLNetLMHeadModel", "XLNetConfig", {**_XLNET, "mem_len": 7, "reuse_len": 4}, {}),
}  # fmt: skip
SEEDS = {
    "gpt2": 2,
    "gpt2_with_pad": 1,
    "bart": 8,
    "captions": 2,
    "xlnet": 5,
    "xlnet_memory": 12,
}  # of the weights, where with those of 0 some options change nothing


def inputs(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of three rows: of an encoder the second is padded on the right and the third on the left, of a decoder
    both on the left."""
    generator = np.random.default_rng(seed + sum(map(ord, name)))
    if name == "captions":
        return {"pixel_values": generator.normal(size=(3, 3, 8, 8)).astype(np.float32)}
    ids, mask = generator.integers(3, 17, (3, 6)), np.ones((3, 6), np.int64)
    mask[2, :3] = 0
    mask[(1, slice(0, 1)) if name.startswith(("gpt2", "xlnet")) else (1, slice(4, 6))] = 0
    pad = MODELS[name][2].get("pad_token_id") or 0
    ids = np.where(ids == pad, pad + 1, ids)
    return {"input_ids": np.where(mask, ids, pad), "attention_mask": mask}


NEW = {"max_new_tokens": 9}
COMMON = {
    "greedy": NEW,
    "repeating_nothing": {**NEW, "no_repeat_ngram_size": 2, "repetition_penalty": 1.7, "min_new_tokens": 6},
    "beams": {**NEW, "num_beams": 4, "num_return_sequences": 4},
    "beams_stop_early": {**NEW, "num_beams": 3, "early_stopping": True, "length_penalty": 0.4},
    "beams_search_on": {**NEW, "num_beams": 3, "early_stopping": "never", "length_penalty": 1.6},
}
OPTIONS = {  # of each model: name → arguments
    "gpt2": COMMON
    | {
        "defaults": {},
        "to_a_length": {"max_length": 13, "min_length": 11},
        "forced": {**NEW, "forced_bos_token_id": 4, "forced_eos_token_id": 3, "repetition_penalty": 0.6},
        "without_an_end": {**NEW, "eos_token_id": None},
        "beams_without_an_end": {**NEW, "eos_token_id": None, "num_beams": 2},
        "beams_against_length": {**NEW, "num_beams": 4, "length_penalty": -0.7, "num_return_sequences": 2},
        "beams_repeating_nothing": {
            **NEW, "num_beams": 4, "no_repeat_ngram_size": 1, "repetition_penalty": 1.3, "min_new_tokens": 3,
        },
    },
    "gpt2_with_pad": {
        **COMMON,
        "three_ends": {**NEW, "eos_token_id": [5, 9, 11], "num_beams": 4, "num_return_sequences": 3, "pad_token_id": 0},
        "banned": {**NEW, "bad_words_ids": [[7], [3], [5]], "num_beams": 2, "length_penalty": 0.0},
    },
    "t5": {**COMMON, "defaults": {}, "beams_to_a_length": {"num_beams": 4, "max_length": 7, "min_length": 5}},
    "bart": COMMON
    | {
        "defaults": {},
        "forced": {"max_length": 7, "forced_bos_token_id": 4},
        "beams_forced": {"max_length": 6, "forced_bos_token_id": 4, "num_beams": 4, "num_return_sequences": 2},
        "another_start": {**NEW, "decoder_start_token_id": 9, "forced_eos_token_id": None},
        "beams_repeating_nothing": {**NEW, "num_beams": 4, "no_repeat_ngram_size": 2, "repetition_penalty": 1.4},
    },
    "captions": {**COMMON, "defaults": {}, "another_start": {**NEW, "decoder_start_token_id": 9}},
    "bart_summaries": {"defaults": {}, "fewer_beams": {"num_beams": 2, "max_new_tokens": 8}},
    "mbart": {"defaults": {}, "beams": {"num_beams": 3, "max_length": 9}},
    "marian": {"defaults": {}, "greedy": {"num_beams": 1}},
    "xlnet": COMMON,
    "xlnet_memory": COMMON,
}  # fmt: skip
CASES = [(name, option) for name, options in OPTIONS.items() for option in options]
