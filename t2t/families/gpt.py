"""GPT-2 (Radford et al. 2019) and GPT-3's dense sizes (Brown et al. 2020, table 2.1): pre-norm, learned positions,
GELU.

GPT-3 alternates dense and locally banded layers; these configs have its sizes with dense attention throughout. Its
table gives the 1.3B model 24 heads of 128, which do not make its width of 2,048 nor its 1.3 billion parameters: here
it has 16.
"""

from t2t.models import ModelConfig


def _size(width: int, heads: int, layers: int, length: int, head_width: int | None = None) -> ModelConfig:
    return ModelConfig(
        architecture="decoder",
        vocab_size=50_257,
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=4 * width,
        decoder_layers=layers,
        norm="layer",
        norm_place="pre",
        norm_epsilon=1e-5,
        bias=True,
        activation="gelu_tanh",
        positions="learned",
        max_length=length,
        dropout=0.1,
        attention_dropout=0.1,
        init="normal",
        init_std=0.02,
        residual_init_scale=(2 * layers) ** -0.5,
    )


SIZES = {
    "gpt2_small": _size(768, 12, 12, 1024),
    "gpt2_medium": _size(1024, 16, 24, 1024),
    "gpt2_large": _size(1280, 20, 36, 1024),
    "gpt2_xl": _size(1600, 25, 48, 1024),
    "gpt3_125m": _size(768, 12, 12, 2048),
    "gpt3_350m": _size(1024, 16, 24, 2048),
    "gpt3_760m": _size(1536, 16, 24, 2048),
    "gpt3_1_3b": _size(2048, 16, 24, 2048),
    "gpt3_2_7b": _size(2560, 32, 32, 2048),
    "gpt3_6_7b": _size(4096, 32, 32, 2048),
    "gpt3_13b": _size(5140, 40, 40, 2048, head_width=128),
    "gpt3_175b": _size(12_288, 96, 96, 2048),
}
