"""A GPT-style decoder on the bytes of WikiText-2: causal language modelling, small enough for two CPU cores.

    python launch/train.py --config=configs/wikitext2_lm.py --workdir=runs/wikitext2_lm
    python launch/generate.py --workdir=runs/wikitext2_lm --prompt="The history of " --temperature=0.8

It trains on the text of the test file and is judged on the validation file's, because the training file (10 MB) is not
with the task's other files in $T2T_DATA/wikitext2 (../shared/data/wikitext2 if it is not set). The loss is in nats a
byte: divide it by 0.693 for bits.
"""

import dataclasses
import os

from configs import base
from t2t import families
from t2t.training import RunConfig

MODEL = dataclasses.replace(
    families.get("gpt2_small"),
    vocab_size=0,
    width=192,
    heads=4,
    head_width=48,
    mlp_width=768,
    decoder_layers=4,
    max_length=512,
    dropout=0.0,
    attention_dropout=0.0,
    mlp_dropout=0.0,
    residual_init_scale=(2 * 4) ** -0.5,
)


def get_config():
    config = base.from_dataclass(RunConfig(model=MODEL))
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "wikitext2")
    config.data.train, config.data.validation = f"{folder}/test.txt", f"{folder}/valid.txt"
    config.data.objective = "causal_lm"
    config.data.vocabulary = "bytes"
    config.data.inputs_length, config.data.targets_length = 128, 128  # the context of a prompt, and a chunk of training
    config.train.batch_size = 6
    config.train.steps = 2_000
    config.train.schedule.decay = "cosine"
    config.train.schedule.peak = 1e-3
    config.train.schedule.warmup = 100
    config.train.eval_every = config.train.checkpoint_every = 500
    return config
