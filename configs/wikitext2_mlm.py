"""BERT's masked language model on WikiText-2: a small encoder, to be fine-tuned afterwards (configs/sst2_encoder.py).

    python launch/train.py --config=configs/wikitext2_mlm.py --workdir=runs/wikitext2_mlm
    python launch/train.py --config=configs/sst2_encoder.py --config.init_from=runs/wikitext2_mlm --workdir=runs/sst2

15 % of the tokens are learned, of which eight tenths are masked (Devlin et al. 2019, section 3.1). The model is that of
configs/sst2_encoder.py, without dropout; the data are as in wikitext2_lm.py.
"""

import os

from configs import sst2_encoder


def get_config():
    config = sst2_encoder.get_config()
    config.model.outputs = ("vocabulary",)
    config.model.pooler = ""
    config.model.dropout = config.model.attention_dropout = config.model.mlp_dropout = 0.0
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "wikitext2")
    config.data.train, config.data.validation = f"{folder}/test.txt", f"{folder}/valid.txt"
    config.data.inputs, config.data.targets = "inputs", "targets"
    config.data.objective = "masked_lm"
    config.data.vocabulary = "sentencepiece:4000"
    config.data.metrics = ()
    config.data.packing, config.data.buckets = True, ()
    config.train.steps = 1_200
    config.train.schedule.peak = 2e-3
    config.train.eval_every = config.train.checkpoint_every = 600
    return config
