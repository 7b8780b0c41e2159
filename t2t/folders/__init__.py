"""Models in Hugging Face's format: a folder with config.json and model.safetensors, read and written. Nothing in a
folder is executed."""

from t2t.folders.load import Loaded, load
from t2t.folders.save import named, save

__all__ = ["Loaded", "load", "named", "save"]
