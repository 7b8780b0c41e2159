"""SST-2 by an encoder with a label for an answer: is a phrase of a film review positive (1) or not (0)?

    python launch/train.py --config=configs/sst2_encoder.py --workdir=runs/sst2_encoder
    python launch/generate.py --workdir=runs/sst2_encoder --prompt="a film to remember"

A BERT of two layers (the smallest of Turc et al. 2019) from random parameters. From a published folder in Hugging
Face's format, with its tokenizer, by adding --config.init_from=FOLDER and BERT's rates (Devlin et al. 2019, appendix
A.3): --config.train.schedule.peak=2e-5 --config.train.batch_size=32. The data are GLUE's phrases as the files
$T2T_DATA/sst2/{train,dev}.tsv have them (../shared/data/sst2 if it is not set).
"""

import dataclasses
import os

from configs import base
from t2t import families
from t2t.training import AdamW, RunConfig, TrainConfig

MODEL = dataclasses.replace(
    families.get("bert_base"),
    vocab_size=0,
    width=128,
    heads=2,
    mlp_width=512,
    encoder_layers=2,
    outputs=("sequence",),
    labels=0,
    pooler="tanh",
)


def get_config():
    config = base.from_dataclass(RunConfig(model=MODEL, train=TrainConfig(optimizer=AdamW())))
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "sst2")
    config.data.train, config.data.validation = f"{folder}/train.tsv", f"{folder}/dev.tsv"
    config.data.inputs, config.data.targets = "sentence", "label"
    config.data.metrics = ("accuracy",)
    config.data.inputs_length = 128
    config.data.packing, config.data.buckets = False, (16, 32, 64)
    config.train.batch_size = 32
    config.train.steps = 2_000
    config.train.schedule.decay = "linear"
    config.train.schedule.peak = 5e-4
    config.train.schedule.warmup = 200
    config.train.eval_every = config.train.checkpoint_every = 500
    return config
