"""What the tests of decoding share: next-token tables small enough to search exhaustively, and tiny models."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from drawn import params_of

from t2t.models import ModelConfig, build

EOS = 1


class TableModel:
    """A language whose next token depends on the row, on how many tokens there are, and on the last two of them.

    The token before the last is known from the state alone, so a search that does not reorder its state goes wrong.

    Args:
      table: log-probabilities up to a constant, [rows n v v v]: [row, length, last but one, last, next].
    """

    def __init__(self, table: np.ndarray):
        self.table = np.asarray(table, np.float32)

    @classmethod
    def random(
        cls, seed: int, rows: int, length: int, v: int, eos: float = 0.0, sharpness: float = 1.0
    ) -> "TableModel":
        """`eos` is added to the logit of the end of sequence."""
        table = np.random.default_rng(seed).normal(size=(rows, length, v, v, v)) * sharpness
        table[..., EOS] += eos
        return cls(table)

    @property
    def first_logits(self) -> jax.Array:
        return jnp.asarray(self.table[:, 0, 0, 0])

    def state(self, beams: int = 1) -> dict[str, jax.Array]:
        rows = jnp.repeat(jnp.arange(len(self.table)), beams)
        return {"row": rows, "before": jnp.zeros_like(rows), "length": jnp.zeros_like(rows)}

    def step(self, tokens: jax.Array, state: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        logits = jnp.asarray(self.table)[state["row"], state["length"] + 1, state["before"], tokens]
        return logits, {"row": state["row"], "before": tokens, "length": state["length"] + 1}

    def log_probability(self, row: int, tokens) -> float:
        """Of a whole hypothesis, in float64."""
        history, total = [0, 0, *tokens], 0.0
        for i, token in enumerate(tokens):
            logits = self.table[row, i, history[i], history[i + 1]].astype(np.float64)
            total += logits[token] - np.log(np.exp(logits).sum())
        return total

    def hypotheses(self, length: int):
        """Everything that can be said in at most `length` tokens: it ends, or is cut off there."""
        v = self.table.shape[-1]
        others = [t for t in range(v) if t != EOS]
        for n in range(length):
            for head in itertools.product(others, repeat=n):
                yield (*head, EOS)
        yield from itertools.product(others, repeat=length)


def take_rows(state, index):
    return jax.tree.map(lambda x: jnp.take(x, index, axis=0), state)


def penalised(log_probability: float, length: int, alpha: float) -> float:
    return log_probability / math.pow((5 + length) / 6, alpha)


def padded(tokens, length: int) -> list[int]:
    return [*tokens, *[0] * (length - len(tokens))]


T5 = {
    "norm": "rms",
    "bias": False,
    "positions": "relative_bias",
    "scale_attention": False,
    "relative_buckets": 8,
    "relative_max_distance": 16,
}
MODELS = {
    "t5": {**T5, "encoder_layers": 1, "decoder_layers": 2, "scale_logits": True},
    "t5_v1_1_scanned": {
        **T5,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "activation": "gelu_tanh",
        "gated": True,
        "tie_logits": False,
        "stacking": "scanned",
    },
    "transformer": {
        "encoder_layers": 1,
        "decoder_layers": 2,
        "norm_place": "post",
        "final_norm": False,
        "scale_embeddings": True,
        "share_embeddings": False,
    },
    "gpt": {"architecture": "decoder", "decoder_layers": 2, "positions": "learned"},
    "gpt_scanned": {"architecture": "decoder", "decoder_layers": 2, "positions": "learned", "stacking": "scanned"},
    "prefix": {"architecture": "decoder", "decoder_layers": 2, "positions": "relative_bias"},
}


def tiny(name: str, vocab_size: int = 11, seed: int = 0, **changes):
    """A model of MODELS with weights large enough that its text varies: (config, module, params)."""
    config = ModelConfig(
        **{
            "vocab_size": vocab_size,
            "width": 16,
            "heads": 2,
            "mlp_width": 32,
            "max_length": 64,
            **MODELS[name],
            **changes,
        }
    )
    params = jax.tree_util.tree_map_with_path(
        lambda path, p: p + 1 if path[-1].key == "scale" else p,  # else what tokens say is lost in the norms
        params_of(config, seed=seed),
    )
    return config, build(config), params


def prompts(seed: int, lengths, vocab_size: int = 11) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(2, vocab_size, n).astype(np.int32) for n in lengths]


def right_padded(rows, width: int) -> dict[str, np.ndarray]:
    """Inputs of an encoder."""
    return {
        "encoder_inputs": np.array([padded(r, width) for r in rows], np.int32),
        "encoder_segments": np.array([padded([1] * len(r), width) for r in rows], np.int32),
    }


def left_padded(rows, width: int, prefix: bool) -> dict[str, np.ndarray]:
    """Prompts of a decoder, each after the start token."""

    def left(values):
        return [*[0] * (width - len(values)), *values]

    batch = {
        "decoder_inputs": np.array([left([0, *r]) for r in rows], np.int32),
        "decoder_segments": np.array([left([1] * (len(r) + 1)) for r in rows], np.int32),
    }
    if prefix:
        batch["decoder_prefix"] = batch["decoder_segments"]
    return batch


def batch_for(name: str, rows, width: int) -> dict[str, np.ndarray]:
    if "architecture" in MODELS[name]:
        return left_padded(rows, width, prefix=name == "prefix")
    return right_padded(rows, width)
