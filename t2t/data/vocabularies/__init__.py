"""Vocabularies: bytes, SentencePiece models trained here, and whatever a folder in Hugging Face's format carries.

`t2t.data.vocabulary` is their door.
"""
