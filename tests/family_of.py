"""Which family a published size is of."""

from t2t import families

# The beginnings of sizes' names: families', and those of sizes that are another's.
_NAMES = {name.replace("-", "_"): name for name in families.FAMILIES} | {
    "deberta_v3": "deberta-v2",
    "mdeberta_v3": "deberta-v2",
    "byt5": "t5",
    "long_t5": "longt5",
    "bigbird": "big_bird",
}
PUBLIC_SIZES = [
    size for size in families.SIZES if not size.startswith(("transformer", "gpt3"))
]  # these have no folders


def family_of(size: str) -> families.Family:
    """The family whose name a size begins with, the longest where there are several."""
    return families.FAMILIES[_NAMES[max((name for name in _NAMES if size.startswith(name)), key=len)]]
