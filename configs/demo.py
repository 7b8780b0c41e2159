"""The demonstration: a small encoder-decoder learns four inverse problems at once. `make demo` runs it.

    python launch/train.py --config=configs/demo.py --workdir=runs/demo
"""

from configs import base


def get_config():
    config = base.get_config()
    config.task = "embedded"
    config.data.vocabulary = "sentencepiece:512"
    config.data.inputs_length = 64
    config.data.targets_length = 64
    model = config.model
    model.width, model.heads, model.head_width, model.mlp_width = 128, 4, 32, 384
    model.encoder_layers = model.decoder_layers = 2
    model.dropout = model.attention_dropout = model.mlp_dropout = 0.0
    config.train.batch_size = 64
    config.train.steps = 1_200
    config.train.schedule.peak = 2e-3
    config.train.schedule.decay = "cosine"
    config.train.schedule.warmup = 200
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.decode.max_length = 64
    return config
