"""Models in Hugging Face's format: a folder with config.json and model.safetensors, read and written. Nothing in a
folder is executed."""

from t2t.folders.load import Loaded, config_of, family_of, is_folder, load
from t2t.folders.save import OURS_ALONE, named, save, token_ids

__all__ = ["OURS_ALONE", "Loaded", "config_of", "family_of", "is_folder", "load", "named", "save", "token_ids"]
