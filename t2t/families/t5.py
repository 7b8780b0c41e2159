"""T5 v1.0 (Raffel et al. 2020, section 3.8) and v1.1 (its released checkpoints: gated, untied, no logit scaling).

Pre-RMS-norm without biases, relative bias shared by a stack's layers, logits of attention not scaled.
"""

from t2t.models import ModelConfig

TABLE = 32_128  # rows of the table: 32,000 pieces and 100 sentinels, rounded up


def _size(width: int, heads: int, head_width: int, mlp_width: int, layers: int, v1_1: bool) -> ModelConfig:
    return ModelConfig(
        architecture="encoder-decoder",
        vocab_size=TABLE,
        width=width,
        heads=heads,
        head_width=head_width,
        mlp_width=mlp_width,
        encoder_layers=layers,
        decoder_layers=layers,
        norm="rms",
        norm_place="pre",
        bias=False,
        scale_attention=False,
        positions="relative_bias",
        init="t5",
        dropout=0.1,
        attention_dropout=0.1,
        mlp_dropout=0.1,
        dropout_over_length=True,
        final_dropout=True,
        activation="gelu_tanh" if v1_1 else "relu",
        gated=v1_1,
        tie_logits=not v1_1,
        scale_logits=not v1_1,
    )


SIZES = {
    "t5_small": _size(512, 8, 64, 2048, 6, v1_1=False),
    "t5_base": _size(768, 12, 64, 3072, 12, v1_1=False),
    "t5_large": _size(1024, 16, 64, 4096, 24, v1_1=False),
    "t5_3b": _size(1024, 32, 128, 16_384, 24, v1_1=False),
    "t5_11b": _size(1024, 128, 128, 65_536, 24, v1_1=False),
    "t5_v1_1_small": _size(512, 6, 64, 1024, 8, v1_1=True),
    "t5_v1_1_base": _size(768, 12, 64, 2048, 12, v1_1=True),
    "t5_v1_1_large": _size(1024, 16, 64, 2816, 24, v1_1=True),
    "t5_v1_1_xl": _size(2048, 32, 64, 5120, 24, v1_1=True),
    "t5_v1_1_xxl": _size(4096, 64, 64, 10_240, 24, v1_1=True),
}
