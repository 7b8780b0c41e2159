"""The Sparse Transformer on the pixels of CIFAR-10 (Child et al. 2019, section 7.1): 128 layers, 59M parameters,
strided attention, 2.80 bits a dimension.

    python launch/train.py --config=configs/sparse_transformer/cifar10.py --workdir=runs/sparse_cifar10

The images are those of TFDS (cifar10). Not in the paper: the batch (16 here), and the stride, which is a row of an
image here (32 pixels of three channels). An end follows the 3,072 numbers of an image, so that the grid of positions
has one row more; what stands in enwik8.py holds here too. The loss is in nats: divide it by 0.693 for bits.
"""

from configs import base
from configs.sparse_transformer import enwik8
from t2t.attention import Sparse, local, strided
from t2t.data import DataConfig
from t2t.training import RunConfig

ROW = 32 * 3
LENGTH = 32 * ROW + 1  # with the end


def get_config():
    model = enwik8.model(
        128,
        256,
        heads=2,
        head_width=64,  # half of the usual 256 / 2, as the feed-forward is
        value_width=128,
        mlp_width=512,
        attention=Sparse(pattern=local(ROW) | strided(ROW)),
        max_length=LENGTH + 1,
        position_grid=(33, 32, 3),
        dropout=0.25,
    )
    data = DataConfig(vocabulary="pixels", targets_length=LENGTH + 1, packing=False, buckets=(LENGTH,))
    train = enwik8.train(120 * 48_000 // 16, 16)
    return base.from_dataclass(RunConfig(task="cifar10_pixels", model=model, data=data, train=train))
