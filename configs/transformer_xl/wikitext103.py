"""Transformer-XL on the words of WikiText-103 (Dai et al. 2019, table 1): 16 layers, 151M parameters, perplexity 24.0;
as `wikitext103.py:large` 18 layers, 18.3.

    python launch/train.py --config=configs/transformer_xl/wikitext103.py --workdir=runs/transformer_xl_wikitext103

The files are wiki.train.tokens and wiki.valid.tokens in $T2T_DATA/wikitext-103 (../shared/data/wikitext-103 if it is
not set). Hyperparameters are those of the released scripts, but for what stands in enwik8.py. The softmax is first over
the 20,000 most frequent words and three clusters of the others (Grave et al. 2017); in the large model rarer words have
narrower tables (Baevski & Auli 2019).
"""

import os

from configs.transformer_xl import enwik8
from t2t.layers.adaptive import Adaptive

SIZES = {
    "base": {
        "layers": 16, "width": 410, "heads": 10, "head_width": 41, "mlp_width": 2100, "segment": 150,
        "memory": 640, "clamp": 400, "dropout": 0.1, "attention_dropout": 0.0, "rows": 60, "warmup": 0,
    },
    "large": {
        "layers": 18, "width": 1024, "heads": 16, "head_width": 64, "mlp_width": 4096, "segment": 384,
        "memory": 1_600, "clamp": 1_000, "dropout": 0.2, "attention_dropout": 0.2, "rows": 128, "warmup": 16_000,
    },
}  # fmt: skip
CUTOFFS = (20_000, 40_000, 200_000)
STEPS = {"base": 200_000, "large": 4_000_000}


def get_config(size: str = "base"):
    large = {"init_std": 0.005, "tied": False} if size == "large" else {}
    narrower = {"divisor": 4, "tied_projections": (False, True, True, True)} if size == "large" else {}
    adaptive = Adaptive(cutoffs=CUTOFFS, **narrower)
    config = enwik8.recipe(SIZES[size], steps=STEPS[size], adaptive=adaptive, **large)
    folder = os.path.join(os.environ.get("T2T_DATA", "../shared/data"), "wikitext-103")
    config.data.train, config.data.validation = f"{folder}/wiki.train.tokens", f"{folder}/wiki.valid.tokens"
    config.data.vocabulary = "words:267735"
    config.train.best_metric = "perplexity"
    return config
