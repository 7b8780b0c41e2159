"""How well a model with a memory tells documents: each read from beginning to end, in consecutive segments."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from t2t.data.consecutive import Rows, SegmentConverter
from t2t.inference.programs import scores_of
from t2t.models import Cache, init_cache


def score_documents(
    params: Any,
    documents: Sequence[np.ndarray],
    *,
    model: nn.Module,
    rows: int,
    length: int,
    place: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]],
) -> list[tuple[jax.Array, jax.Array, np.ndarray]]:
    """Log-probabilities of all tokens of documents, each after what its document and the model's memory hold before.

    Args:
      documents: tokens; the longest are read first.
      rows: how many are read at once.
      length: of a segment.
      place: puts a batch onto devices.

    Returns:
      For each segment what `score_batch` gives, [b n], and which of its tokens count, bool [b n].
    """
    order = iter(sorted(range(len(documents)), key=lambda i: (-len(documents[i]), i)))

    def take():
        index = next(order, None)
        return None if index is None else (index, documents[index])

    converter, cache, found = SegmentConverter(length=length, start_id=model.config.start_id), None, []
    reader = Rows(converter, take, [(-1, 0)] * rows, documents.__getitem__)
    while any(pieces := reader.next()):
        batch = converter(pieces, (length,))
        logp, right, cache = score_segment(params, place(batch), cache, model=model)
        found.append((logp, right, batch["loss_weights"] > 0))
    return found


@functools.partial(jax.jit, static_argnames=("model",), donate_argnames=("cache",))
def score_segment(
    params: Any, batch: Mapping[str, jax.Array], cache: Cache | None, *, model: nn.Module
) -> tuple[jax.Array, jax.Array, Cache]:
    """`score_batch` of a segment that follows what a cache holds (nothing, where it is None), and the cache after."""
    if cache is None:
        cache = init_cache(model.config, *batch["targets"].shape)
    found = model.apply({"params": params}, batch, cache, method="outputs")
    return *scores_of(found, batch, model.config), found["memory"]
