"""Published models as their users know them: a folder in, and a model that is called under transformers' names."""

from t2t.pretrained.model import Pretrained, load, save

__all__ = ["Pretrained", "load", "save"]
