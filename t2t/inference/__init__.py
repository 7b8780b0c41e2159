"""Answers from a trained model: decoding, scoring, evaluation."""

from t2t.inference.config import DecodeConfig
from t2t.inference.evaluation import Evaluation, evaluate
from t2t.inference.label_model import LabelModel
from t2t.inference.layout import make_converter
from t2t.inference.loading import load
from t2t.inference.text_model import TextModel

__all__ = ["DecodeConfig", "Evaluation", "LabelModel", "TextModel", "evaluate", "load", "make_converter"]
