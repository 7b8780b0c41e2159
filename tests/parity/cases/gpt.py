"""GPT-2."""

from cases.case import IDS, Case, base, language_model

_GPT2 = {
    **IDS, "n_positions": 40, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_inner": 24, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip


def _lm(settings):
    return Case("GPT2LMHeadModel", "GPT2Config", {**_GPT2, **settings}, language_model, generates=True)


CASES = {
    "gpt2": _lm({"activation_function": "gelu_new"}),
    "gpt2_relu_unscaled": _lm(
        {"n_layer": 2, "n_inner": None, "activation_function": "relu", "scale_attn_weights": False,
         "layer_norm_epsilon": 1e-2}
    ),
    "gpt2_base": Case("GPT2Model", "GPT2Config", _GPT2, base),
}  # fmt: skip
