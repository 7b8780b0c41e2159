"""Multi30k English → German from scratch (Elliott et al. 2016): a small Transformer with a vocabulary of its own.

    python launch/train.py --config=configs/multi30k.py --workdir=runs/multi30k
    python launch/evaluate.py --workdir=runs/multi30k --beams=4 --metrics=bleu \\
        --file=$T2T_DATA/multi30k/test_2016_flickr.en.gz,$T2T_DATA/multi30k/test_2016_flickr.de.gz

The data are the parallel files of the task's repository, in $T2T_DATA/multi30k (../shared/data/multi30k if it is not
set). After the Transformer-Tiny of Wu et al. 2021 ("Good for Misconceived Reasons"): the original Transformer, made
small and pre-norm, with much dropout.
"""

import dataclasses
import os

from configs import base
from t2t import families
from t2t.training import RunConfig

MODEL = dataclasses.replace(
    families.get("transformer_base"),
    vocab_size=0,
    width=192,
    heads=4,
    head_width=48,
    mlp_width=512,
    encoder_layers=3,
    decoder_layers=3,
    norm_place="pre",
    final_norm=True,
    max_length=128,
    dropout=0.3,
    attention_dropout=0.1,
    mlp_dropout=0.1,
)


def get_config():
    config = base.from_dataclass(RunConfig(model=MODEL))
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "multi30k")
    config.data.train = f"{folder}/train.en.gz,{folder}/train.de.gz"
    config.data.validation = f"{folder}/val.en.gz,{folder}/val.de.gz"
    config.data.metrics = ("bleu",)
    config.data.vocabulary = "bpe:6000"
    config.data.inputs_length = config.data.targets_length = 64
    config.train.batch_size = 64
    config.train.steps = 2_000
    config.train.label_smoothing = 0.1
    config.train.schedule.decay = "cosine"
    config.train.schedule.peak = 4e-3
    config.train.schedule.warmup = 300
    config.train.schedule.floor = 0.02
    config.train.eval_every = config.train.checkpoint_every = 500
    config.train.eval_examples = 256
    config.decode.method = "beam"
    config.decode.beams = 4
    config.decode.max_length = 64
    return config
