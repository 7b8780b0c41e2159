"""From files and datasets to batches: sources, vocabularies, converters, packing, mixing, the loader."""

from t2t.data.config import DataConfig
from t2t.data.sources import Expanded, FileSource, FunctionSource, Generated, Mapped, Slice, Source, TfdsSource
from t2t.data.vocabulary import ByteVocabulary, SentencePieceVocabulary, Vocabulary, train_sentencepiece

__all__ = [
    "ByteVocabulary",
    "DataConfig",
    "Expanded",
    "FileSource",
    "FunctionSource",
    "Generated",
    "Mapped",
    "SentencePieceVocabulary",
    "Slice",
    "Source",
    "TfdsSource",
    "Vocabulary",
    "train_sentencepiece",
]
