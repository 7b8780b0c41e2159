"""Entities in noisy text by an encoder with a tag for each word: WNUT-17 (Derczynski et al. 2017).

    python launch/train.py --config=configs/wnut17.py --workdir=runs/wnut17
    python launch/generate.py --workdir=runs/wnut17 --prompt="The new Empire State Building is in New York"

The model is that of configs/sst2_encoder.py, and like it begins from a published folder with --config.init_from=FOLDER.
The data are $T2T_DATA/wnut17/{train,dev}.conll (../shared/data/wnut17 if it is not set).
"""

import os

from configs import sst2_encoder


def get_config():
    config = sst2_encoder.get_config()
    config.model.outputs = ("tagging",)
    config.model.pooler = ""
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "wnut17")
    config.data.train, config.data.validation = f"{folder}/train.conll", f"{folder}/dev.conll"
    config.data.inputs, config.data.targets = "inputs", "targets"
    config.data.metrics = ("entity_f1", "tag_accuracy")
    config.train.steps = 1_000
    config.train.eval_every = config.train.checkpoint_every = 250
    return config
