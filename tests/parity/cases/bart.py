"""BART, mBART, Pegasus and Marian."""

from cases.case import IDS, Case, base, ended, names, spanned, text_to_text

_BART = {
    **IDS, "decoder_start_token_id": 0, "forced_eos_token_id": None, "forced_bos_token_id": None, "d_model": 16,
    "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 40, "dropout": 0.0,
    "attention_dropout": 0.0,
}  # fmt: skip


def _lm(prefix, **settings):
    name = "MarianMTModel" if prefix == "Marian" else f"{prefix}ForConditionalGeneration"
    return Case(name, f"{prefix}Config", {**_BART, **settings}, text_to_text, generates=True)


CASES = {
    "marian_relu": _lm("Marian", activation_function="relu", scale_embedding=True),
    "marian_swish": _lm("Marian", activation_function="swish"),
    "bart": _lm("Bart", activation_function="gelu"),
    "bart_scaled": _lm("Bart", decoder_layers=1, activation_function="relu", scale_embedding=True),
    "mbart": _lm("MBart", scale_embedding=True),
    "pegasus": _lm("Pegasus", activation_function="relu", scale_embedding=True),
    "bart_base": Case("BartModel", "BartConfig", {**_BART, "decoder_start_token_id": 1}, base),
    "mbart_spans": Case("MBartForQuestionAnswering", "MBartConfig", _BART, spanned),
    "bart_classes": Case(
        "BartForSequenceClassification", "BartConfig",
        {**_BART, **names(3), "decoder_start_token_id": 1, "classifier_dropout": 0.0}, ended,
    ),
    "mbart_classes": Case(
        "MBartForSequenceClassification", "MBartConfig", {**_BART, **names(4), "classifier_dropout": 0.0}, ended,
    ),
}  # fmt: skip
