"""Questions answered with spans of their contexts by an encoder: SubjQA's reviews of hotels (Bjerva et al. 2020).

    python launch/train.py --config=configs/subjqa.py --workdir=runs/subjqa --config.init_from=FOLDER
    python launch/evaluate.py --workdir=runs/subjqa --file=$T2T_DATA/xquad/xquad.en.json.gz

The same recipe serves any file of SQuAD's form: --config.data.train=train-v1.1.json. FOLDER is a published encoder in
Hugging Face's format; without it the model is that of configs/sst2_encoder.py from random parameters, for which 1,000
questions are too few to learn more than where answers tend to be. The data are
$T2T_DATA/subjqa/tripadvisor_{train,dev}.jsonl.gz (../shared/data/subjqa if it is not set).
"""

import os

from configs import sst2_encoder


def get_config():
    config = sst2_encoder.get_config()
    config.model.outputs = ("spans",)
    config.model.pooler = ""
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "subjqa")
    config.data.train = f"{folder}/tripadvisor_train.jsonl.gz"
    config.data.validation = f"{folder}/tripadvisor_dev.jsonl.gz"
    config.data.format = "squad"
    config.data.inputs, config.data.targets = "inputs", "targets"
    config.data.metrics = ("squad",)
    config.data.inputs_length, config.data.stride = 384, 128
    config.data.buckets = (64, 128, 256)
    config.train.schedule.peak = 5e-5
    config.train.steps = 200
    config.train.schedule.warmup = 20
    config.train.eval_every = config.train.checkpoint_every = 100
    return config
