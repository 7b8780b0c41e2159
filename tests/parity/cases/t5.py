"""T5 and mT5."""

from cases.case import IDS, Case, base, text_to_text

_T5 = {
    **IDS, "decoder_start_token_id": 0, "d_model": 16, "d_kv": 6, "d_ff": 24, "num_heads": 2, "num_layers": 2,
    "num_decoder_layers": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20,
    "dropout_rate": 0.0,
}  # fmt: skip


def _lm(settings, prefix="T5", **more):
    name = f"{prefix}ForConditionalGeneration"
    return Case(name, f"{prefix}Config", {**_T5, **settings}, text_to_text, generates=True, **more)


CASES = {
    "t5_v1_0": _lm({"feed_forward_proj": "relu", "scale_decoder_outputs": True}),
    "t5_v1_1": _lm(
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "scale_decoder_outputs": False}, untied=True
    ),
    "t5_gated_silu": _lm({"num_decoder_layers": 1, "feed_forward_proj": "gated-silu", "layer_norm_epsilon": 1e-2}),
    "mt5": _lm({"feed_forward_proj": "gated-gelu"}, prefix="MT5"),
    "t5_encoder": Case("T5EncoderModel", "T5Config", {**_T5, "feed_forward_proj": "gated-gelu"}, base),
    "mt5_encoder": Case("MT5EncoderModel", "MT5Config", {**_T5, "feed_forward_proj": "relu"}, base),
}
