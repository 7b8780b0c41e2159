"""Longformer (Beltagy et al. 2020) and BigBird (Zaheer et al. 2020): RoBERTa and BERT with sparse attention."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from t2t.attention import BigBird, Dense, Longformer
from t2t.attention.longformer import ROLES
from t2t.errors import ConfigError, DataError
from t2t.families import bert
from t2t.families.bert_names import NAMES
from t2t.families.family import Calls, Family, Values, activation
from t2t.families.rows import FLAT, LINEAR, Row, linear, norm
from t2t.families.turns import shortest_turn
from t2t.layers.config import cycle
from t2t.models import ModelConfig

Features = dict[str, np.ndarray]
_LONGFORMER = {"attention": Longformer(window=257), "max_length": 4096, "norm_epsilon": 1e-5, "position_offset": 2}
_BIG_BIRD = {
    "attention": BigBird(), "max_length": 4096, "activation": "gelu_tanh", "logits_transform": "gelu_tanh",
    "pooler": "tanh",
}  # fmt: skip
SIZES = {
    "longformer_base_4096": bert.size(768, 12, 12, 50_265, **_LONGFORMER, token_types=1),
    "longformer_large_4096": bert.size(1024, 16, 24, 50_265, **_LONGFORMER, token_types=1),
    "bigbird_roberta_base": bert.size(768, 12, 12, 50_358, **_BIG_BIRD),
    "bigbird_roberta_large": bert.size(1024, 16, 24, 50_358, **_BIG_BIRD),
}


def read_longformer(values: Values, tensors: Collection[str]) -> ModelConfig:
    """A window for all layers, or one for each; on both sides together, without the query itself."""
    config = bert.read(values, tensors)
    windows = values.get("attention_window", 512)
    windows = [windows] * config.encoder_layers if isinstance(windows, int) else list(windows)
    if len(windows) != config.encoder_layers or any(w < 2 or w % 2 for w in windows):
        raise ConfigError(
            f"config.json: attention_window {windows}; expected an even number of at least 2 for each of "
            f"num_hidden_layers {config.encoder_layers}."
        )
    first = int("sequence" in config.outputs)
    turn = tuple(Longformer(window=w // 2 + 1, first=first) for w in shortest_turn(windows))
    return dataclasses.replace(config, attention=turn if len(turn) > 1 else turn[0])


def write_longformer(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read_longformer`."""
    turn = cycle(config.attention)
    windows = [2 * (mechanism.window - 1) for mechanism in turn if isinstance(mechanism, Longformer)]
    if len(windows) != len(turn):
        raise ConfigError(f"attention: a Longformer has Longformer() in all layers, found {config.attention!r}.")
    every = windows * (config.encoder_layers // len(turn))
    return {**bert.write(config, "longformer"), "attention_window": every}


def longformer_rows(config: ModelConfig) -> list[Row]:
    """RoBERTa's, and the projections of global tokens."""
    found, theirs = bert.rows(config, "longformer"), NAMES["longformer"].layer
    for role in ROLES:
        ours, name = f"encoder/layer_{{i}}/self_attention/global_{role}", f"{theirs}.attention.self.{role}_global"
        found.append(Row(f"{ours}_kernel", f"{name}.weight", LINEAR))
        found.append(Row(f"{ours}_bias", f"{name}.bias", FLAT))
    return found


def global_tokens(given: Mapping[str, np.ndarray], config: ModelConfig, values: Values) -> Features:
    """Which tokens are global where the arguments do not say: of classes of sequences the first; of questions those
    before the first separator; of choices those behind the second."""
    task = set(config.outputs) & {"sequence", "spans", "choice"}
    if not task or "global_attention_mask" in given or "input_ids" not in given:
        return {}
    tokens = given["input_ids"]
    place = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    if "sequence" in task:
        return {"encoder_global_tokens": (place == 0).astype(np.int32)}
    separators = tokens == values.get("sep_token_id", 2)
    if (separators.sum(axis=1) != 3).any():
        raise DataError(
            f"A Longformer expects three separators (sep_token_id {values.get('sep_token_id', 2)}) in every row, found "
            f"{sorted(set(separators.sum(axis=1).tolist()))}: give global_attention_mask instead."
        )
    end = separators.argmax(axis=1)[:, None]
    return {"encoder_global_tokens": (place < end if "spans" in task else place > end + 1).astype(np.int32)}


def read_big_bird(values: Values, tensors: Collection[str]) -> ModelConfig:
    """Full attention, or blocks."""
    values = {"hidden_act": "gelu_new", **values}
    config, kind = bert.read(values, tensors), values.get("attention_type", "block_sparse")
    if kind not in ("block_sparse", "original_full"):
        raise ConfigError(
            f"config.json: attention_type '{kind}' is not supported; there are block_sparse, original_full."
        )
    blocks = BigBird(block=values.get("block_size", 64), random=values.get("num_random_blocks", 3))
    return dataclasses.replace(
        config,
        attention=blocks if kind == "block_sparse" else Dense(),
        attention_bias=None if values.get("use_bias", True) else ("out",),
        scale_embeddings=values.get("rescale_embeddings", False),
        pooler=activation(values, "hidden_act", "") if "sequence" in config.outputs else config.pooler,
        spans_feed_forward="spans" in config.outputs,
    )


def write_big_bird(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read_big_bird`."""
    own = config.attention
    blocks = {"block_size": own.block, "num_random_blocks": own.random} if isinstance(own, BigBird) else {}
    return {
        **bert.write(config, "big_bird"),
        "attention_type": "block_sparse" if blocks else "original_full",
        **blocks,
        "use_bias": config.has_bias("query"),
        "rescale_embeddings": config.scale_embeddings,
    }


def big_bird_rows(config: ModelConfig) -> list[Row]:
    """BERT's, and the feed-forward before the ends of answers."""
    found = bert.rows(config, "big_bird")
    if "spans" in config.outputs:
        for side, name in (("in", "intermediate"), ("out", "output")):
            found += linear(f"heads/spans_feed_forward/{side}", f"qa_classifier.{name}.dense")
        found += norm("heads/spans_norm", "qa_classifier.output.LayerNorm")
    return found


def question(given: Mapping[str, np.ndarray], config: ModelConfig, values: Values) -> Features:
    """Where the question is, in which no answer is looked for: up to the first separator, if nothing says how long it
    is. Its types are 0 and those of the text are 1. The first token stands for no answer."""
    if "spans" not in config.outputs or "input_ids" not in given:
        return {}
    tokens = given["input_ids"]
    length = given.get("question_lengths")
    if length is None:
        length = (tokens == values.get("sep_token_id", 66)).argmax(axis=1) + 1
    asked = np.arange(tokens.shape[1]) < length.reshape(-1, 1)
    unanswerable = asked & (np.arange(tokens.shape[1]) > 0)
    return {"encoder_types": 1 - asked.astype(np.int32), "unanswerable": unanswerable.astype(np.int32)}


FAMILIES = (
    Family(
        "longformer",
        read_longformer,
        write_longformer,
        longformer_rows,
        NAMES["longformer"].classes,
        prefix="longformer.",
        silent=bert.SILENT,
        calls=Calls(
            arguments={"global_attention_mask": "encoder_global_tokens"}, more=global_tokens, positions_from_ids=True
        ),
    ),
    Family(
        "big_bird",
        read_big_bird,
        write_big_bird,
        big_bird_rows,
        NAMES["big_bird"].classes,
        prefix="bert.",
        silent=bert.SILENT + r"|bert\.pooler\.(weight|bias)",
        calls=Calls(arguments={"question_lengths": "question_lengths"}, more=question),
    ),
)
