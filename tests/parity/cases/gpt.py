"""GPT, GPT-2 and GPT-Neo."""

from cases.case import IDS, Case, base, classified, labelled, language_model, measured, names, tagged

_GPT2 = {
    **IDS, "n_positions": 40, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_inner": 24, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip


_GPT = {
    **IDS, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    "attn_pdrop": 0.0, "layer_norm_epsilon": 1e-2,
}  # fmt: skip
_NEO = {
    **IDS, "max_position_embeddings": 40, "hidden_size": 16, "num_layers": 4, "num_heads": 2, "intermediate_size": 24,
    "attention_types": [[["global", "local"], 2]], "window_size": 3, "classifier_dropout": 0.0,
}  # fmt: skip
_LOCAL = {"attention_types": [[["local"], 3]], "num_layers": 3, "window_size": 5, "intermediate_size": None}
_UNEVEN = {"attention_types": [[["global"], 1], [["local"], 2]], "num_layers": 3, "activation_function": "relu"}


def _of(class_name, arguments, common, **settings):
    config = f"{class_name.split('For')[0].removesuffix('Model')}Config"
    return Case(class_name, config, {**common, **settings}, arguments)


def _neo(settings):
    return Case("GPTNeoForCausalLM", "GPTNeoConfig", {**_NEO, **settings}, language_model, generates=True)


def _first(settings):
    return Case("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", {**_GPT, **settings}, language_model, generates=True)


def _lm(settings):
    return Case("GPT2LMHeadModel", "GPT2Config", {**_GPT2, **settings}, language_model, generates=True)


CASES = {
    "gpt2": _lm({"activation_function": "gelu_new"}),
    "gpt2_relu_unscaled": _lm(
        {"n_layer": 2, "n_inner": None, "activation_function": "relu", "scale_attn_weights": False,
         "layer_norm_epsilon": 1e-2}
    ),
    "gpt2_by_layer": _lm({"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
    "gpt2_base": _of("GPT2Model", base, _GPT2),
    "gpt2_classes": _of("GPT2ForSequenceClassification", classified, _GPT2, **names(3)),
    "gpt2_tags": _of("GPT2ForTokenClassification", tagged, _GPT2, **names(5), classifier_dropout=0.0),
    "gpt": _first({}),
    "gpt_silu": _first({"afn": "silu", "n_layer": 1}),
    "gpt_base": _of("OpenAIGPTModel", base, _GPT),
    "gpt_number": _of("OpenAIGPTForSequenceClassification", measured, _GPT, **names(1)),
    "gpt_neo": _neo({}),
    "gpt_neo_local": _neo(_LOCAL),
    "gpt_neo_uneven": _neo(_UNEVEN),
    "gpt_neo_global": _neo({"attention_types": [[["global"], 2]], "num_layers": 2, "layer_norm_epsilon": 1e-2}),
    "gpt_neo_base": _of("GPTNeoModel", base, _NEO),
    "gpt_neo_labels": _of("GPTNeoForSequenceClassification", labelled, _NEO, **_LOCAL, **names(4)),
    "gpt_neo_tags": _of("GPTNeoForTokenClassification", tagged, _NEO, **_UNEVEN, **names(5)),
}  # fmt: skip
