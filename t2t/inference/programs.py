"""The compiled programs of inference: a batch of prompts in, tokens and scores out; and a batch of targets, scored.

Each is one jitted function of (model, decoding, length), compiled once for each shape.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.errors import DataError
from t2t.inference import asking
from t2t.inference.beam import beam_search
from t2t.inference.config import DecodeConfig
from t2t.inference.processors import processor
from t2t.inference.sampling import choose_greedily, generate, sampler
from t2t.models import ModelConfig, cast_matrices, first, init_cache, reorder_beams, repeat
from t2t.models.inputs import feature_of


def check_logits(config: ModelConfig) -> None:
    """DataError for a model that gives no token a probability."""
    if "vocabulary" not in config.outputs:
        raise DataError(
            f"This model has no logits over the vocabulary, its outputs are {config.outputs}: load a language model."
        )


def check_generates(config: ModelConfig) -> None:
    """DataError for a model that generates no text: an encoder that does not go on with one, or no logits."""
    if config.architecture == "encoder" and not config.goes_on:
        raise DataError("An encoder does not generate text: use a decoder or an encoder-decoder.")
    check_logits(config)


@functools.partial(jax.jit, static_argnames=("model", "decode", "eos_id"))
def decode_batch(
    params: Any,
    batch: Mapping[str, jax.Array],
    row_ids: jax.Array,
    *,
    model: nn.Module,
    decode: DecodeConfig,
    eos_id: int | tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
    """Generates from a batch of prompts.

    Args:
      batch: `encoder_inputs`, `encoder_segments` [b m], or `encoder_pixels` [b height width c]; `decoder_inputs`,
        `decoder_segments` [b p], what the decoder begins with, padded on the left, which an encoder-decoder does
        without: it begins with its start id; and of a decoder-only model `decoder_prefix` where it was trained with
        one. An encoder that goes on with texts (`ModelConfig.goes_on`) has its prompts there too; `encoder_segments`
        say what of them it reads, if that is not all but padding.
      row_ids: int [b], which example each row is; sampling draws by them.
      eos_id: what ends a text, or several such ids.

    Returns:
      tokens int32 [b beams n] and scores float32 [b beams], best first; of sampling each sample, as drawn, stands in
      the place of a beam.
    """
    config, eos_ids = model.config, (eos_id,) if isinstance(eos_id, int) else eos_id
    variables = {"params": cast_matrices(params, config.compute_dtype)}
    prompt = _prompt(config, batch)
    if config.query_stream:
        read = batch.get("encoder_segments", prompt["decoder_segments"])
        first, cache = asking.begin(model, variables, prompt["decoder_inputs"], read, decode.max_length)
    else:
        first, cache = _prefill(model, variables, batch | prompt, decode.max_length)
    process = processor(decode, eos_ids, prompt["decoder_inputs"], prompt["decoder_segments"] > 0)
    limits = {"max_length": decode.max_length, "eos_ids": eos_ids, "process": process}

    def step(tokens, cache):
        if config.query_stream:
            return asking.step(model, variables, tokens, cache)
        logits, cache = model.apply(variables, tokens[:, None], cache=cache, method="decode")
        return logits[:, 0], cache

    if decode.method == "beam":
        found = beam_search(
            first,
            repeat(cache, decode.beams),
            step,
            reorder_beams,
            beams=decode.beams,
            alpha=decode.length_penalty,
            form=decode.length_form,
            early_stopping=decode.early_stopping,
            **limits,
        )
        best = decode.num_return_sequences or decode.beams
        return found.tokens[:, :best], found.scores[:, :best]
    if decode.method == "greedy":
        found = generate(first, cache, step, choose_greedily, **limits)
        return found.tokens[:, None], found.scores[:, None]
    copies = decode.num_return_sequences or 1
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(decode.seed), i))(row_ids)
    if copies > 1:
        first, cache = jnp.repeat(first, copies, axis=0), repeat(cache, copies)
        keys = jax.vmap(lambda key: jax.random.split(key, copies))(keys).reshape(-1)
    choose = sampler(keys, temperature=decode.temperature, top_k=decode.top_k, top_p=decode.top_p)
    found = generate(first, cache, step, choose, **limits)
    return found.tokens.reshape(len(row_ids), copies, -1), found.scores.reshape(len(row_ids), copies)


def _prompt(config: ModelConfig, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What the decoder begins with: decoder_inputs and decoder_segments [b p]."""
    if "decoder_inputs" in batch:
        inputs = batch["decoder_inputs"]
        return {"decoder_inputs": inputs, "decoder_segments": batch.get("decoder_segments", jnp.ones_like(inputs))}
    rows = len(batch[feature_of(config.side("encoder"))])
    start = jnp.full((rows, 1), config.start_id, jnp.int32)
    return {"decoder_inputs": start, "decoder_segments": jnp.ones_like(start)}


def _prefill(model: nn.Module, variables: Any, batch: Mapping[str, jax.Array], length: int) -> tuple[jax.Array, Any]:
    """The logits [b v] of the first token to generate, and the cache."""
    inputs, segments = batch["decoder_inputs"], batch["decoder_segments"]
    if model.config.architecture == "encoder-decoder":
        around = (batch[feature_of(model.config.side("encoder"))], batch.get("encoder_segments"))
        given = {"encoded": model.apply(variables, *around, method="encode"), "encoder_segments": around[1]}
    else:
        given = {"prefix": batch.get("decoder_prefix")}
    cache = init_cache(model.config, len(inputs), inputs.shape[1] + length - 1)  # the last token is not read again
    logits, cache = model.apply(variables, inputs, segments=segments, cache=cache, **given, method="decode")
    return logits[:, -1], cache


@functools.partial(jax.jit, static_argnames=("model",))
def score_batch(params: Any, batch: Mapping[str, jax.Array], *, model: nn.Module) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities of `targets` where `loss_weights` is not 0.

    Returns:
      For each token float32 [b n], 0 where the weight is 0; and whether it is the likeliest one, bool [b n] (of words
      in clusters, whether it is likelier than each other cluster as a whole: not all words are scored).
    """
    return scores_of(model.apply({"params": params}, batch, method="outputs"), batch, model.config)


@functools.partial(jax.jit, static_argnames=("model",))
def label_batch(
    params: Any, batch: Mapping[str, jax.Array], *, model: nn.Module
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The logits of labels, float32 [b c], of tokens [b n c], of spans [b 2 n]; and what `score_batch` returns of
    them. A number has the squared error for a negative log-probability."""
    logits = model.apply({"params": params}, batch)
    if not model.config.gives_number:
        return logits, *token_scores(logits, batch)
    error, counted = logits[..., 0] - batch["targets"], batch["loss_weights"] > 0
    return logits, jnp.where(counted, -jnp.square(error), 0.0), (jnp.abs(error) < 0.5) & counted


def scores_of(
    found: Mapping[str, Any], batch: Mapping[str, jax.Array], config: ModelConfig
) -> tuple[jax.Array, jax.Array]:
    """What `score_batch` returns, of the outputs of a batch."""
    if "of_targets" not in found:
        return token_scores(first(config, found), batch)
    (logp, right), counted = found["of_targets"], batch["loss_weights"] > 0
    return jnp.where(counted, logp, 0.0), right & counted


def token_scores(logits: jax.Array, batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """What `score_batch` returns, of the logits [b n v] of a batch."""
    label = jnp.take_along_axis(logits, batch["targets"][..., None], axis=-1)[..., 0]
    counted = batch["loss_weights"] > 0
    logp = jnp.where(counted, label - jax.nn.logsumexp(logits, axis=-1), 0.0)
    return logp, (label >= logits.max(-1)) & counted
