"""The published systems, as configurations of the same modules, and their public folders' names."""

from t2t.errors import ConfigError, unknown
from t2t.families import (
    bart,
    bert,
    canine,
    captioning,
    deberta,
    gpt,
    gpt_neo,
    long,
    t5,
    transfo_xl,
    transformer,
    vit,
    xlnet,
)
from t2t.families.family import Family
from t2t.models import ModelConfig

SIZES: dict[str, ModelConfig] = {
    name: size
    for kin in (transformer, t5, gpt, gpt_neo, bart, bert, deberta, long, transfo_xl, xlnet, canine, vit, captioning)
    for name, size in kin.SIZES.items()
}
FAMILIES: dict[str, Family] = {
    family.name: family
    for kin in (bart, bert, deberta, gpt, gpt_neo, long, t5, transfo_xl, xlnet, canine, vit, captioning)
    for family in kin.FAMILIES
}


def get(name: str) -> ModelConfig:
    """The config of a published size, for example "t5_v1_1_base".

    Raises:
      ConfigError: an unknown name, with the nearest ones.
    """
    if name not in SIZES:
        raise ConfigError(unknown("model", name, SIZES))
    return SIZES[name]
