"""Transformer-XL on the bytes of enwik8 (Dai et al. 2019, table 2): 12 layers, 41M parameters, 1.06 bits a byte; as
`enwik8.py:large` 24 layers, 277M parameters, 0.99.

    python launch/train.py --config=configs/transformer_xl/enwik8.py --workdir=runs/transformer_xl_enwik8
    python launch/train.py --config=configs/transformer_xl/enwik8.py:large --workdir=runs/transformer_xl_enwik8_large

The files are the first 90, the next 5 and the last 5 million bytes, train.txt.raw, valid.txt.raw and test.txt.raw in
$T2T_DATA/enwik8 (../shared/data/enwik8 if it is not set). Hyperparameters are those of the released scripts. Unlike
there, a segment of evaluation is as long as one of training: with `same_length` every token sees as many keys as memory
whatever a segment's length.
"""

import os

from configs import base
from t2t.attention import TransformerXL
from t2t.data import DataConfig
from t2t.inference import DecodeConfig
from t2t.layers.adaptive import Adaptive
from t2t.models import ModelConfig
from t2t.training import AdamW, RunConfig, ScheduleConfig, TrainConfig

SIZES = {
    "base": {
        "layers": 12, "width": 512, "heads": 8, "head_width": 64, "mlp_width": 2048, "segment": 512,
        "memory": 2_100, "clamp": 820, "dropout": 0.1, "attention_dropout": 0.0, "rows": 22, "warmup": 0,
    },
    "large": {
        "layers": 24, "width": 1024, "heads": 8, "head_width": 128, "mlp_width": 3072, "segment": 768,
        "memory": 3_800, "clamp": 1_000, "dropout": 0.15, "attention_dropout": 0.15, "rows": 64, "warmup": 4_000,
    },
}  # fmt: skip


def get_config(size: str = "base"):
    config = recipe(SIZES[size], steps=400_000)
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "enwik8")
    config.data.train, config.data.validation = f"{folder}/train.txt.raw", f"{folder}/valid.txt.raw"
    config.data.vocabulary = "bytes"
    return config


def recipe(size, *, steps: int, init_std: float = 0.02, tied: bool = True, adaptive: Adaptive | None = None):
    """What both corpora have in common. `memory` and `clamp` of a size are of evaluation; training remembers a segment.

    Args:
      tied: whether all layers share u and v.
      adaptive: the clusters of the vocabulary; None for an ordinary softmax.
    """
    attention = TransformerXL(memory=size["segment"], tied=tied)
    judged = TransformerXL(memory=size["memory"], clamp=size["clamp"], same_length=True, tied=tied)
    model = ModelConfig(
        architecture="decoder",
        decoder_layers=size["layers"],
        width=size["width"],
        heads=size["heads"],
        head_width=size["head_width"],
        mlp_width=size["mlp_width"],
        attention=attention,
        attention_bias=(),
        adaptive=adaptive,
        positions="none",
        norm_place="post",
        norm_epsilon=1e-5,
        final_norm=False,
        scale_embeddings=True,
        logits_bias=adaptive is None,
        dropout=size["dropout"],
        mlp_dropout=size["dropout"],
        attention_dropout=size["attention_dropout"],
        init="normal",
        init_std=init_std,
        stacking="scanned",
    )
    data = DataConfig(
        format="text",
        objective="causal_lm",
        packing=False,
        consecutive=True,
        inputs_length=size["segment"],
        targets_length=size["segment"],
    )
    train = TrainConfig(
        steps=steps,
        batch_size=size["rows"],
        optimizer=AdamW(b2=0.999, epsilon=1e-8),
        schedule=ScheduleConfig(decay="cosine", peak=2.5e-4, warmup=size["warmup"]),
        clip_norm=0.25,
        eval_every=4_000,
        checkpoint_every=4_000,
    )
    return base.from_dataclass(RunConfig(model=model, data=data, train=train, decode=DecodeConfig(attention=judged)))
