"""A Transformer-XL on the bytes of WikiText-2: consecutive segments of 256 bytes, each with the 256 before in memory;
judged with a memory of 1,024 (Dai et al. 2019).

    python launch/train.py --config=configs/wikitext2_memory.py --workdir=runs/wikitext2_memory

The files are those of configs/wikitext2_lm.py, and the model is as wide and deep as its.
"""

import dataclasses

from configs import base, wikitext2_lm
from t2t.attention import TransformerXL
from t2t.inference import DecodeConfig

SEGMENT = 256
MODEL = dataclasses.replace(wikitext2_lm.MODEL, positions="none", attention=TransformerXL(memory=SEGMENT))
DECODE = DecodeConfig(attention=dataclasses.replace(MODEL.attention, memory=4 * SEGMENT))


def get_config():
    config = wikitext2_lm.get_config()
    config.model = base.from_dataclass(MODEL)
    config.decode = base.from_dataclass(DECODE)
    config.data.packing, config.data.consecutive = False, True
    config.data.targets_length = SEGMENT
    return config
