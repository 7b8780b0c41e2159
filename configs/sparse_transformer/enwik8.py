"""The Sparse Transformer on the bytes of enwik8 (Child et al. 2019, section 7.2): 30 layers, 95M parameters, fixed
attention in merged heads over a context of 12,288, 0.99 bits a byte.

    python launch/train.py --config=configs/sparse_transformer/enwik8.py --workdir=runs/sparse_enwik8

The files are those of configs/transformer_xl/enwik8.py. Not in the paper: the batch (8 rows here, one for each of its
GPUs) and the rate of this model (its CIFAR-10 model's). Unlike it, dropout falls on the embeddings too, and all weights
begin with one deviation, 0.125 / sqrt(width), where the paper's depends on the fan-in.
"""

import os

from configs import base
from t2t.attention import Sparse, fixed
from t2t.data import DataConfig
from t2t.models import ModelConfig
from t2t.training import AdamW, RunConfig, ScheduleConfig, TrainConfig

CONTEXT = 12_288
EPOCH = 90_000_000 // CONTEXT  # rows of the training bytes


def model(layers: int, width: int, **changes) -> ModelConfig:
    """What all models of the paper have in common (section 5)."""
    return ModelConfig(
        **{
            "architecture": "decoder",
            "decoder_layers": layers,
            "width": width,
            "mlp_width": 4 * width,
            "positions": "learned",
            "activation": "gelu_sigmoid",
            "tie_logits": False,
            "norm_epsilon": 1e-5,
            "init": "normal",
            "init_std": 0.125 * width**-0.5,
            "residual_init_scale": (2 * layers) ** -0.5,
            "stacking": "scanned",
            "remat": "full",
        }
        | changes
    )


def train(steps: int, batch_size: int) -> TrainConfig:
    """What all its trainings have in common (section 6)."""
    return TrainConfig(
        steps=steps,
        batch_size=batch_size,
        optimizer=AdamW(b2=0.999, epsilon=1e-8, weight_decay=0.01),
        schedule=ScheduleConfig(decay="cosine", peak=3.5e-4, warmup=5_000),
        clip_norm=1.0,
    )


def get_config():
    attention = Sparse(pattern=fixed(128, 32))
    grid = (CONTEXT // 128, 128)
    run = RunConfig(
        model=model(30, 512, heads=8, attention=attention, max_length=CONTEXT, position_grid=grid, dropout=0.4),
        data=DataConfig(
            format="text",
            objective="causal_lm",
            vocabulary="bytes",
            targets_length=CONTEXT,
            packing=False,
            buckets=(CONTEXT,),
        ),
        train=train(80 * EPOCH // 8, 8),
    )
    config = base.from_dataclass(run)
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "enwik8")
    config.data.train, config.data.validation = f"{folder}/train.txt.raw", f"{folder}/valid.txt.raw"
    return config
