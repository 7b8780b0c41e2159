"""Fine-tuning on SST-2 from the run of configs/wikitext2_spans.py: is a phrase of a film review positive (1) or not?

    python launch/train.py --config=configs/sst2.py --config.init_from=runs/wikitext2_spans --workdir=runs/sst2

Without --config.init_from it begins from random parameters, for comparison. The data are GLUE's phrases as the files
$T2T_DATA/sst2/{train,dev}.tsv have them (../shared/data/sst2 if it is not set).
"""

import os

from configs import wikitext2_spans


def get_config():
    config = wikitext2_spans.get_config()
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "sst2")
    config.data.train, config.data.validation = f"{folder}/train.tsv", f"{folder}/dev.tsv"
    config.data.objective = ""
    config.data.inputs, config.data.targets = "sentence", "label"
    config.data.prefix = "sst2 sentence: "
    config.data.inputs_length, config.data.targets_length = 128, 32
    config.train.batch_size = 16
    config.train.steps = 400
    config.train.schedule.warmup = 100
    config.train.eval_every = config.train.checkpoint_every = 100
    config.decode.max_length = 4
    return config
