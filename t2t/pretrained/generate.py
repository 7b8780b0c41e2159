"""Token ids as transformers' generate() returns them, with its arguments and their defaults."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from t2t.errors import ConfigError, DataError, unknown
from t2t.inference import DecodeConfig
from t2t.inference.beam import NEVER
from t2t.inference.programs import check_generates, decode_batch
from t2t.models import ModelConfig
from t2t.models import build as build_model

NEW_TOKENS = 20  # where neither an argument nor the folder says how many
DEFAULTS: dict[str, Any] = {  # transformers' own, and a seed
    "max_length": None, "max_new_tokens": None, "min_length": 0, "min_new_tokens": None, "num_beams": 1,
    "length_penalty": 1.0, "early_stopping": False, "num_return_sequences": 1, "do_sample": False, "temperature": 1.0,
    "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "eos_token_id": None, "pad_token_id": None,
    "bos_token_id": None, "decoder_start_token_id": None, "use_cache": True, "seed": 0,
}  # fmt: skip
WITHOUT_EFFECT = {  # what changes what is generated and is not here, and its value where it changes nothing
    "encoder_no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0, "min_p": None, "top_h": None, "diversity_penalty": 0.0, "num_beam_groups": 1,
    "suppress_tokens": [], "begin_suppress_tokens": [], "sequence_bias": None, "penalty_alpha": 0.0,
    "exponential_decay_length_penalty": None, "guidance_scale": 1.0, "constraints": None, "force_words_ids": None,
    "renormalize_logits": False, "stop_strings": None, "dola_layers": None, "prompt_lookup_num_tokens": None,
}  # fmt: skip


def generate_ids(
    config: ModelConfig,
    params: Any,
    values: Mapping[str, Any],
    *,
    input_ids: Any = None,
    attention_mask: Any = None,
    pixel_values: Any = None,
    decoder_input_ids: Any = None,
    **arguments: Any,
) -> np.ndarray:
    """Generates, as transformers 5 does.

    Args:
      values: of generation_config.json; where a folder has none, of config.json, and of the decoder's in it.
      input_ids: int [b n], what the encoder reads; of a decoder the prompts, padded on the left.
      attention_mask: int [b n], 0 on padding; where not given, a decoder's padding is told by `pad_token_id`. XLNet
        reads padding like the rest, as there.
      pixel_values: float [b c height width], in the place of these where the encoder reads images.
      decoder_input_ids: int [b p], what the decoder of an encoder-decoder begins with.
      **arguments: those of `DEFAULTS`, which go before `values`.

    Returns:
      int32 [b·num_return_sequences m], the best first of each row: what the decoder began with, and what it generated,
      filled with `pad_token_id` after the end of sequence (of beams, as there, with the end itself where that is 0).

    Raises:
      ConfigError: an argument that is not here, or a value that cannot be.
      DataError: no inputs, ids that the model does not know, prompts padded on the right, or no room for a new token.
    """
    check_generates(config)
    settings = settings_of(values, arguments)
    if config.architecture != "encoder-decoder":
        batch = _prompts(settings, config, input_ids, attention_mask)
    else:
        batch = _encoder_features(config, input_ids, attention_mask, pixel_values)
        batch["decoder_inputs"] = _beginning(settings, config, decoder_input_ids, len(next(iter(batch.values()))))
    prompt, eos_ids = batch["decoder_inputs"], settings["eos_token_id"]
    decode, rows = decode_config(settings, config, prompt.shape[1]), jnp.arange(len(prompt))
    found = decode_batch(params, batch, rows, model=build_model(config), decode=decode, eos_id=eos_ids)
    tokens, scores = (np.asarray(x) for x in found)
    fill = settings["pad_token_id"] or (eos_ids[0] if eos_ids and decode.method == "beam" else 0)
    tokens = _filled(tokens.reshape(scores.size, -1), scores.reshape(-1), eos_ids, fill)
    return np.concatenate([np.repeat(prompt, scores.shape[1], axis=0), tokens], axis=1)


def settings_of(values: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The value of everything in `DEFAULTS`: of the arguments, else of the folder, else the default. Ends of sequence
    are a tuple; padding is the first of them where nothing is said.

    Raises:
      ConfigError: an argument that is not there, or one, or a value of the folder, whose effect is not here.
    """
    for name in arguments:
        if name not in DEFAULTS and name not in WITHOUT_EFFECT:
            raise ConfigError(f"generate_ids: {unknown('argument', name, DEFAULTS)}")
    values = {**(values.get("decoder") or {}), **{name: value for name, value in values.items() if value is not None}}
    for name, neutral in WITHOUT_EFFECT.items():
        found = arguments.get(name, values.get(name, neutral))
        if found is not None and found != neutral:
            raise ConfigError(f"generate_ids: {name} is not here, found {found!r}: give {name}={neutral!r}.")
    told = {name: value for name, value in values.items() if name in DEFAULTS and value is not None}
    # None says "none" of what may be none, an end of sequence say; of the rest it says nothing.
    said = {n: v for n, v in arguments.items() if n in DEFAULTS and (v is not None or DEFAULTS[n] is None)}
    settings = {**DEFAULTS, **told, **said}
    settings["eos_token_id"] = _ids(settings["eos_token_id"])
    if settings["pad_token_id"] is None and settings["eos_token_id"]:
        settings["pad_token_id"] = settings["eos_token_id"][0]
    return settings


def decode_config(settings: Mapping[str, Any], config: ModelConfig, prompt: int) -> DecodeConfig:
    """Settings as the choices of decoding after a prompt of so many tokens, padding and start token included.

    Raises:
      ConfigError, DataError: see `generate_ids`.
    """
    beams, sample = settings["num_beams"], settings["do_sample"]
    if beams > 1 and sample:
        raise ConfigError("generate_ids: do_sample with num_beams above 1 is not here: choose one of them.")
    banned = settings["bad_words_ids"] or []
    if any(len(word) != 1 for word in banned):
        raise ConfigError("generate_ids: bad_words_ids of several tokens are not here, only single ones.")
    new, shortest = settings["max_new_tokens"], settings["min_new_tokens"]
    if new is None and settings["max_length"] is not None:
        new = settings["max_length"] - prompt
    elif new is None:
        limited = config.positions in ("learned", "sinusoidal")
        new = min(NEW_TOKENS, config.max_length - prompt) if limited else NEW_TOKENS
    if new < 1:
        raise DataError(
            f"generate_ids: the decoder begins with {prompt} tokens, and max_length leaves no room for another: "
            "give max_new_tokens, or a shorter prompt."
        )
    return DecodeConfig(
        method="beam" if beams > 1 else "sample" if sample else "greedy",
        max_length=new,
        beams=beams,
        length_penalty=float(settings["length_penalty"]),
        length_form="power",
        early_stopping=settings["early_stopping"],
        num_return_sequences=settings["num_return_sequences"],
        **({name: settings[name] for name in ("temperature", "top_k", "top_p", "seed")} if sample else {}),
        repetition_penalty=settings["repetition_penalty"],
        no_repeat_ngram_size=settings["no_repeat_ngram_size"],
        banned_ids=tuple(i for (i,) in banned if i not in settings["eos_token_id"]),
        min_new_tokens=max((settings["min_length"] or 0) - prompt, 0) if shortest is None else shortest,
        forced_bos_id=settings["forced_bos_token_id"] if prompt == 1 else None,
        forced_eos_id=_only(settings["forced_eos_token_id"]),
    )


def _prompts(settings: Mapping[str, Any], config: ModelConfig, given: Any, mask: Any) -> dict[str, np.ndarray]:
    """What a decoder reads: prompts, and which of their tokens are no padding."""
    tokens, pad_id = _tokens("input_ids", given, config), settings["pad_token_id"]
    if mask is None:
        told = pad_id is not None and pad_id not in settings["eos_token_id"]
        mask = tokens != pad_id if told else np.ones_like(tokens)
    mask = np.asarray(mask, np.int32)
    if config.query_stream:  # XLNet reads padding like the rest
        return {"decoder_inputs": tokens, "decoder_segments": mask, "encoder_segments": np.ones_like(mask)}
    if not mask[:, -1].all():
        raise DataError("generate_ids: prompts are padded on the left, found padding at the end of some.")
    return {"decoder_inputs": tokens, "decoder_segments": mask}


def _encoder_features(config: ModelConfig, given: Any, mask: Any, pixels: Any) -> dict[str, np.ndarray]:
    """What an encoder reads: text or images."""
    side = config.side("encoder")
    if side.patches is None:
        tokens = _tokens("input_ids", given, side)
        mask = np.ones_like(tokens) if mask is None else np.asarray(mask, np.int32)
        return {"encoder_inputs": tokens, "encoder_segments": mask}
    if pixels is None:
        raise DataError("generate_ids: this model reads pixel_values, found none.")
    return {"encoder_pixels": np.moveaxis(np.asarray(pixels, np.float32), 1, -1)}


def _beginning(settings: Mapping[str, Any], config: ModelConfig, given: Any, rows: int) -> np.ndarray:
    """What the decoder of an encoder-decoder begins with, int32 [b p]: its start token, and what is given after it."""
    told = (settings["decoder_start_token_id"], settings["bos_token_id"], config.start_id)
    start = np.reshape(next(s for s in told if s is not None), (-1, 1))
    start = _tokens("decoder_start_token_id", np.broadcast_to(start, (rows, 1)), config)
    if given is None:
        return start
    given = _tokens("decoder_input_ids", given, config)
    return np.concatenate([start, given], axis=1) if (given[:, :1] != start).all() else given


def _tokens(name: str, given: Any, config: ModelConfig) -> np.ndarray:
    """Ids as int32 [b n].

    Raises:
      DataError: none, something other than rows of ids, or ids that the model does not know.
    """
    ids = np.asarray(() if given is None else given)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.size:
        raise DataError(f"generate_ids: {name}: expected rows of ids, [b n], found {ids.dtype} {ids.shape}.")
    if ids.min() < 0 or ids.max() >= config.vocab_size:
        raise DataError(
            f"generate_ids: {name}: expected ids from 0 to {config.vocab_size - 1}, found {ids.min()} to {ids.max()}."
        )
    return ids.astype(np.int32)


def _filled(tokens: np.ndarray, scores: np.ndarray, eos_ids: tuple[int, ...], fill: int) -> np.ndarray:
    """Generated tokens [r n] with `fill` after the end of sequence, as long as the longest row."""
    ends = np.isin(tokens, eos_ids)
    lengths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, tokens.shape[1])
    lengths *= scores > NEVER / 2  # nothing, where there are fewer hypotheses than beams
    return np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, fill)[:, : lengths.max()].astype(np.int32)


def _ids(value: Any) -> tuple[int, ...]:
    """None, an id or several as a tuple."""
    return () if value is None else tuple(int(i) for i in np.ravel(value))


def _only(value: Any) -> int | None:
    """The one id of a value that may be a list."""
    ids = _ids(value)
    if len(ids) > 1:
        raise ConfigError(f"generate_ids: forced_eos_token_id: expected one id, found {list(ids)}.")
    return ids[0] if ids else None
