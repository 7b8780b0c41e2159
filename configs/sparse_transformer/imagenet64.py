"""The Sparse Transformer on the pixels of ImageNet 64 × 64 (Child et al. 2019, section 7.3): 48 layers, 152M
parameters, strided attention over 12,288 numbers, 3.44 bits a dimension.

    python launch/train.py --config=configs/sparse_transformer/imagenet64.py --workdir=runs/sparse_imagenet64

The images are those of TFDS (downsampled_imagenet/64x64). Not in the paper: the batch (64 here, one for each of its
GPUs); what stands in cifar10.py and enwik8.py holds here too. The loss is in nats: divide it by 0.693 for bits.
"""

from configs import base
from configs.sparse_transformer import enwik8
from t2t.attention import Sparse, local, strided
from t2t.data import DataConfig
from t2t.training import RunConfig

STRIDE = 128
LENGTH = 64 * 64 * 3 + 1  # with the end


def get_config():
    model = enwik8.model(
        48,
        512,
        heads=16,
        attention=Sparse(pattern=local(STRIDE) | strided(STRIDE)),
        max_length=LENGTH + 1,
        position_grid=(65, 64, 3),
        dropout=0.01,
    )
    data = DataConfig(vocabulary="pixels", targets_length=LENGTH + 1, packing=False, buckets=(LENGTH,))
    train = enwik8.train(70 * 1_281_149 // 64, 64)
    return base.from_dataclass(RunConfig(task="imagenet64_pixels", model=model, data=data, train=train))
