"""The demonstration: a small encoder-decoder learns four inverse problems at once. `make demo` runs it.

    python launch/train.py --config=configs/demo.py --workdir=runs/demo

SCAN (commands into actions), symbolic integration, decompilation and ListOps; every answer is verified. Learned
positions,
because SCAN is a matter of counting: with T5's buckets the same model is far from solving it in as many steps.
"""

from configs import base
from t2t.training import AdamW


def get_config():
    config = base.get_config()
    config.task = "embedded"
    config.data.vocabulary = "sentencepiece:512"
    config.data.inputs_length, config.data.targets_length = 96, 64  # packs both sides three quarters full
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width = 128, 4, 32, 384
    model.encoder_layers = model.decoder_layers = 2
    model.positions, model.max_length = "learned", 96
    model.dropout = model.attention_dropout = model.mlp_dropout = 0.0
    config.train.optimizer = base.from_dataclass(AdamW())
    config.train.batch_size = 22
    config.train.steps = 2_400
    config.train.schedule.decay = "cosine"
    config.train.schedule.peak = 2e-3
    config.train.schedule.warmup = 100
    config.train.eval_every = config.train.checkpoint_every = 600
    config.train.eval_examples = 128
    config.decode.max_length = 64
    return config
