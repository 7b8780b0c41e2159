"""Answers from a trained model: decoding, scoring, evaluation."""

from t2t.inference.config import DecodeConfig
from t2t.inference.evaluation import Evaluation, evaluate
from t2t.inference.text_model import TextModel, make_converter

__all__ = ["DecodeConfig", "Evaluation", "TextModel", "evaluate", "make_converter"]
