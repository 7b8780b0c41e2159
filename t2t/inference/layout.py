"""How examples and prompts are laid out in the batches that a model of some architecture reads."""

import numpy as np

from t2t.data.converters import Converter, DecoderConverter, EncoderConverter, EncoderDecoderConverter, LabelConverter
from t2t.models import ModelConfig
from t2t.tasks.labelling import LABELLED


def buckets_up_to(limit: int) -> tuple[int, ...]:
    """Lengths that batches are padded to, so that few programs are compiled: 16, 32, 64, … below `limit`."""
    return tuple(2**i for i in range(4, 24) if 2**i < limit)


def make_converter(
    config: ModelConfig, inputs_length: int, targets_length: int, prefix_attention: bool, loss_on_inputs: bool = False
) -> Converter:
    """The converter of an architecture and its first output."""
    if config.outputs[:1] and config.outputs[0] in LABELLED:
        return LabelConverter(
            inputs_length=inputs_length,
            of_tokens=config.outputs[0] == "tagging",
            architecture=config.architecture,
            start_id=config.start_id or 0,
        )
    if config.architecture == "encoder":
        return EncoderConverter(inputs_length=inputs_length)
    if config.architecture == "decoder":
        return DecoderConverter(
            inputs_length=inputs_length,
            targets_length=targets_length,
            loss_on_inputs=loss_on_inputs,
            prefix_attention=prefix_attention,
            start_id=config.start_id,
        )
    return EncoderDecoderConverter(inputs_length=inputs_length, targets_length=targets_length, start_id=config.start_id)


def left_padded(
    inputs: np.ndarray, segments: np.ndarray, *, both_ways: bool, start_id: int | None = 0
) -> dict[str, np.ndarray]:
    """Prompts of a decoder: after its start token and padded on the left, so that all end together.

    Args:
      inputs, segments: int [b n], padded on the right.
      both_ways: whether a prompt's tokens see each other both ways; an empty one never does.
      start_id: see `ModelConfig`.

    Returns:
      decoder_inputs, decoder_segments and, with `both_ways`, decoder_prefix, int [b n+1]; [b n] without a start token.
    """
    if start_id is not None:
        inputs = np.pad(inputs, ((0, 0), (1, 0)), constant_values=start_id)
        segments = np.pad(segments, ((0, 0), (1, 0)), constant_values=1)
    lengths = segments.sum(axis=1, keepdims=True)
    order = (np.arange(segments.shape[1]) + lengths) % segments.shape[1]
    inputs, segments = (np.take_along_axis(x, order, axis=1) for x in (inputs, segments))
    result = {"decoder_inputs": inputs, "decoder_segments": segments}
    if both_ways:
        result["decoder_prefix"] = segments * (lengths > 1)
    return result
