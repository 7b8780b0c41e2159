"""Which family a published size is of."""

from t2t import families

_NAMES = {name.replace("-", "_"): name for name in families.FAMILIES}
_NAMES |= {"deberta_v3": "deberta-v2", "mdeberta_v3": "deberta-v2"}
PUBLIC_SIZES = [
    size for size in families.SIZES if not size.startswith(("transformer", "gpt3"))
]  # these have no folders


def family_of(size: str) -> families.Family:
    """The family whose name a size begins with, the longest where there are several."""
    return families.FAMILIES[_NAMES[max((name for name in _NAMES if size.startswith(name)), key=len)]]
