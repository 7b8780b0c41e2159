"""A SentencePiece model's pieces, for a `tokenizers.Tokenizer` that has them as its vocabulary."""

import dataclasses

from t2t.errors import DataError

UNIGRAM = 1  # of `TrainerSpec.ModelType`
CONTROL, USER_DEFINED = 3, 4  # of `SentencePiece.Type`


@dataclasses.dataclass(frozen=True)
class Pieces:
    """What a SentencePiece model holds.

    Attributes:
      scored: (piece, log-probability), in the order of their ids.
      unk_id: of these.
      added: the control symbols and those the user defined, which are found in text before anything else; and whether
        they are control symbols.
      normalisation: SentencePiece's compiled table of characters; empty where text is left as it is.
    """

    scored: list[tuple[str, float]]
    unk_id: int
    added: list[tuple[str, bool]]
    normalisation: bytes


def pieces_of(model: bytes, name: str) -> Pieces:
    """Reads a model file.

    Raises:
      DataError: no such model, or one that is not of the unigram kind.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    try:
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    except DecodeError:
        raise DataError(f"{name} is no SentencePiece model: {model[:40]!r}…. Restore the file.") from None
    if proto.trainer_spec.model_type != UNIGRAM or not proto.pieces:
        raise DataError(
            f"{name}: expected a unigram model, as all families here have, found model_type "
            f"{proto.trainer_spec.model_type} with {len(proto.pieces)} pieces."
        )
    return Pieces(
        scored=[(p.piece, p.score) for p in proto.pieces],
        unk_id=proto.trainer_spec.unk_id,
        added=[(p.piece, p.type == CONTROL) for p in proto.pieces if p.type in (CONTROL, USER_DEFINED)],
        normalisation=proto.normalizer_spec.precompiled_charsmap,
    )
