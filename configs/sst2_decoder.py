"""SST-2 by a decoder that goes on from the phrase: is a phrase of a film review positive (1) or not (0)?

    python launch/train.py --config=configs/sst2_decoder.py --config.init_from=runs/wikitext2_lm \\
        --workdir=runs/sst2_decoder
    python launch/generate.py --workdir=runs/sst2_decoder --prompt="review: a film to remember"

From the run of configs/wikitext2_lm.py, or a folder of GPT's or GPT-2's form with its tokenizer; without
--config.init_from from random parameters. The phrase is seen from left to right, as these were pre-trained. The data
are those of configs/sst2.py.
"""

import os

from configs import wikitext2_lm


def get_config():
    config = wikitext2_lm.get_config()
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "sst2")
    config.data.train, config.data.validation = f"{folder}/train.tsv", f"{folder}/dev.tsv"
    config.data.objective = ""
    config.data.inputs, config.data.targets = "sentence", "label"
    config.data.prefix = "review: "
    config.data.prefix_attention = False
    config.data.metrics = ("accuracy",)
    config.data.inputs_length, config.data.targets_length = 320, 8
    config.train.batch_size = 16
    config.train.steps = 800
    config.train.schedule.decay = "linear"
    config.train.eval_every = config.train.checkpoint_every = 400
    config.decode.max_length = 4
    return config
