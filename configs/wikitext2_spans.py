"""T5's span corruption on WikiText-2: a small T5 v1.1, to be fine-tuned afterwards (configs/sst2.py).

    python launch/train.py --config=configs/wikitext2_spans.py --workdir=runs/wikitext2_spans
    python launch/generate.py --workdir=runs/wikitext2_spans --prompt="The history of <extra_id_0> is long ."

15 % of the tokens in spans of 3 on average (Raffel et al. 2020, section 3.1.4). The data are as in wikitext2_lm.py.
"""

import os

from configs import base


def get_config():
    config = base.get_config()
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "wikitext2")
    config.data.train, config.data.validation = f"{folder}/test.txt", f"{folder}/valid.txt"
    config.data.objective = "span_corruption"
    config.data.vocabulary = "sentencepiece:4000"
    config.data.inputs_length, config.data.targets_length = 128, 32
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width = 192, 4, 48, 384
    model.encoder_layers = model.decoder_layers = 3
    config.train.batch_size = 32
    config.train.steps = 600
    config.train.schedule.decay = "cosine"
    config.train.schedule.peak = 1e-2
    config.train.schedule.warmup = 100
    config.train.eval_every = config.train.checkpoint_every = 200
    return config
