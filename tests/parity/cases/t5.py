"""T5 and mT5."""

from cases.case import IDS, Case, base, text_to_text

_T5 = {
    **IDS, "decoder_start_token_id": 0, "d_model": 16, "d_kv": 6, "d_ff": 24, "num_heads": 2, "num_layers": 2,
    "num_decoder_layers": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20,
    "dropout_rate": 0.0,
}  # fmt: skip


_LONG = {"feed_forward_proj": "gated-gelu", "num_decoder_layers": 2}
_GLOBAL = {"encoder_attention_type": "transient-global", "local_radius": 2, "global_block_size": 2}


def _left(generator, settings):
    return base(generator, settings, length=23, left=True)


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
    "umt5": _lm({"feed_forward_proj": "gated-gelu"}, prefix="UMT5"),
    "umt5_relu": _lm({"feed_forward_proj": "relu", "layer_norm_epsilon": 1e-2, "num_layers": 1}, prefix="UMT5"),
    "umt5_encoder": Case("UMT5EncoderModel", "UMT5Config", {**_T5, "feed_forward_proj": "gated-gelu"}, base),
    "longt5_local": _lm({**_LONG, "local_radius": 3}, prefix="LongT5"),
    "longt5_local_unscaled": _lm(
        {**_LONG, "local_radius": 30, "feed_forward_proj": "relu", "tie_word_embeddings": False}, prefix="LongT5"
    ),
    "longt5_global": _lm({**_LONG, **_GLOBAL, "layer_norm_epsilon": 1e-2}, prefix="LongT5"),
    "longt5_global_wide": _lm({**_LONG, **_GLOBAL, "global_block_size": 5, "local_radius": 4}, prefix="LongT5"),
    "longt5_local_encoder": Case("LongT5EncoderModel", "LongT5Config", {**_T5, **_LONG, "local_radius": 2}, _left),
    "longt5_global_encoder": Case("LongT5EncoderModel", "LongT5Config", {**_T5, **_LONG, **_GLOBAL}, _left),
    "mt5_encoder": Case("MT5EncoderModel", "MT5Config", {**_T5, "feed_forward_proj": "relu"}, base),
}
