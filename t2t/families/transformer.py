"""The original Transformer (Vaswani et al. 2017, table 3): post-norm, sinusoidal, ReLU, one table for everything.

Trained with label smoothing 0.1 on a shared vocabulary of about 37,000 byte pairs (section 5.1).
"""

from t2t.models import ModelConfig


def _size(width: int, heads: int, mlp_width: int, dropout: float) -> ModelConfig:
    return ModelConfig(
        architecture="encoder-decoder",
        vocab_size=37_000,
        width=width,
        heads=heads,
        mlp_width=mlp_width,
        encoder_layers=6,
        decoder_layers=6,
        norm="layer",
        norm_place="post",
        final_norm=False,
        bias=True,
        activation="relu",
        positions="sinusoidal",
        max_length=1024,
        scale_embeddings=True,
        dropout=dropout,
        init="xavier",
    )


SIZES = {"transformer_base": _size(512, 8, 2048, 0.1), "transformer_big": _size(1024, 16, 4096, 0.3)}
