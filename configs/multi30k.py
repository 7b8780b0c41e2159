"""Multi30k English → German from scratch (Elliott et al. 2016): a small Transformer with a vocabulary of its own.

    python launch/train.py --config=configs/multi30k.py --workdir=runs/multi30k
    python launch/evaluate.py --workdir=runs/multi30k --step=best --beams=4 --metrics=bleu \\
        --file=$T2T_DATA/multi30k/test_2016_flickr.en.gz,$T2T_DATA/multi30k/test_2016_flickr.de.gz

The data are the parallel files of the task's repository, in $T2T_DATA/multi30k (../shared/data/multi30k if it is not
set).
After the small Transformer of Wu et al. 2021 ("Good for Misconceived Reasons", their Transformer-Tiny).
"""

import os

from configs import base


def get_config():
    config = base.get_config()
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "multi30k")
    config.data.train = f"{folder}/train.en.gz,{folder}/train.de.gz"
    config.data.validation = f"{folder}/val.en.gz,{folder}/val.de.gz"
    config.data.metrics = ("bleu",)
    config.data.vocabulary = "bpe:6000"
    config.data.inputs_length = config.data.targets_length = 64
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width = 192, 4, 48, 512
    model.encoder_layers = model.decoder_layers = 3
    model.tie_logits, model.scale_logits, model.gated, model.activation = True, True, False, "relu"
    model.dropout, model.attention_dropout, model.mlp_dropout = 0.3, 0.1, 0.1
    config.train.batch_size = 64
    config.train.steps = 2_000
    config.train.label_smoothing = 0.1
    config.train.schedule.decay = "cosine"
    config.train.schedule.peak = 2e-3
    config.train.schedule.warmup = 200
    config.train.schedule.floor = 0.02
    config.train.eval_every = config.train.checkpoint_every = 500
    config.train.eval_examples = 256
    config.decode.method = "beam"
    config.decode.beams = 4
    config.decode.max_length = 64
    return config
