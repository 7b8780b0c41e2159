"""Linformer pre-trained as a masked language model (Wang et al. 2020, section 5.1): RoBERTa's base model with 256 slots
for 512 positions, shared by keys and values and by all layers.

    python launch/train.py --config=configs/linformer/pretraining.py --workdir=runs/linformer
    python launch/train.py --config=configs/linformer/pretraining.py:1024 --workdir=runs/linformer_1024

The number after the colon is the length (512, 1024, 2048 or 4096); the paper found a rank of 256 enough for all.
The text, English Wikipedia and BookCorpus in the paper, is train.txt and validation.txt in $T2T_DATA/pretraining
(../shared/data/pretraining if it is not set), a line for each paragraph. Optimizer and masking are RoBERTa's (Liu et
al. 2019, table 9), which the paper follows; its batch is not said (16 rows for each of its 64 GPUs here).
"""

import os

from configs import base
from t2t.attention import Linformer
from t2t.data import DataConfig
from t2t.models import ModelConfig
from t2t.training import AdamW, RunConfig, ScheduleConfig, TrainConfig


def get_config(length: str = "512"):
    n = int(length)
    model = ModelConfig(
        architecture="encoder",
        encoder_layers=12,
        width=768,
        heads=12,
        mlp_width=3072,
        attention=Linformer(rank=256, length=n, sharing="layer"),
        positions="learned",
        max_length=n,
        norm_place="post",
        norm_epsilon=1e-5,
        final_norm=False,
        activation="gelu",
        dropout=0.1,
        attention_dropout=0.1,
        init="normal",
        logits_bias=True,
        stacking="scanned",
    )
    data = DataConfig(
        format="text",
        objective="masked_lm",
        vocabulary="bpe:50000",
        inputs_length=n,
        packing=False,
        buckets=(n,),
    )
    train = TrainConfig(
        steps=250_000,
        batch_size=1024,
        optimizer=AdamW(b2=0.98, epsilon=1e-6, weight_decay=0.01),
        schedule=ScheduleConfig(decay="linear", peak=6e-4, warmup=24_000),
        clip_norm=0.0,
    )
    config = base.from_dataclass(RunConfig(model=model, data=data, train=train))
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "pretraining")
    config.data.train, config.data.validation = f"{folder}/train.txt", f"{folder}/validation.txt"
    return config
