"""The two small trained models that trax's tests carry give the outputs that trax's tests expect of them."""

import jax
import numpy as np
import pytest

from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.models import ModelConfig, build

COMMON = {
    "vocab_size": 13,
    "width": 64,
    "heads": 2,
    "mlp_width": 128,
    "max_length": 256,
    "positions": "learned",
    "norm_epsilon": 1e-6,
    "tie_logits": False,
    "logits_bias": True,
}
EOS = 1


class Arrays:
    """The arrays of a checkpoint in their order, taken a few at a time."""

    def __init__(self, path):
        arrays = np.load(path)
        self._left = [arrays[name] for name in sorted(arrays)]

    def take(self, count: int) -> list[np.ndarray]:
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def norm(self):
        return dict(zip(("scale", "bias"), self.take(2)))

    def attention(self):
        found = {}
        for name in ("query", "key", "value", "out"):
            kernel, bias = self.take(2)
            inward = name != "out"
            found[name] = {
                "kernel": kernel.reshape((64, 2, 32) if inward else (2, 32, 64)),
                "bias": bias.reshape((2, 32) if inward else (64,)),
            }
        return found

    def stack(self, cross: bool):
        layers = {}
        for i in range(2):
            layer = {"self_attention_norm": self.norm(), "self_attention": self.attention()}
            if cross:
                layer |= {"cross_attention_norm": self.norm(), "cross_attention": self.attention()}
            layer["feed_forward_norm"] = self.norm()
            layer["feed_forward"] = {name: dict(zip(("kernel", "bias"), self.take(2))) for name in ("in", "out")}
            layers[f"layer_{i}"] = layer
        return {**layers, "norm": self.norm()}

    def logits(self):
        kernel, bias = self.take(2)
        assert not self._left
        return {"projection": {"kernel": kernel}, "bias": bias}

    def positions(self):
        return {"positions": {"table": self.take(1)[0][0]}}


def language_model(folder):
    arrays = Arrays(folder / "checkpoints" / "trax_transformerlm_copy.npz")
    params = {
        "tokens": {"table": arrays.take(1)[0]},
        "decoder_embedder": arrays.positions(),
        "decoder": arrays.stack(False),
        "logits": arrays.logits(),
    }
    return build(ModelConfig(architecture="decoder", decoder_layers=2, **COMMON)), params


def copier(folder):
    arrays = Arrays(folder / "checkpoints" / "trax_transformer_copy.npz")
    params = {
        "tokens": {"table": arrays.take(1)[0]},
        "encoder_embedder": arrays.positions(),
        "encoder": arrays.stack(False),
        "decoder_embedder": arrays.positions(),
        "decoder": arrays.stack(True),
        "logits": arrays.logits(),
    }
    return build(ModelConfig(encoder_layers=2, decoder_layers=2, **COMMON)), params


def decode(model, params, batch, **settings):
    batch = {name: np.asarray([values], np.int32) for name, values in batch.items()}
    tokens, scores = decode_batch(
        jax.tree.map(np.asarray, params),
        batch,
        np.zeros(1, np.int32),
        model=model,
        decode=DecodeConfig(**settings),
        eos_id=EOS,
    )
    return np.asarray(tokens)[0].tolist(), np.asarray(scores)[0]


# The decoder's inputs are shifted right: the prompt 0 3 7 5 3 2 4 0 with another 0 in front.
PROMPT = {"decoder_inputs": [0, 0, 3, 7, 5, 3, 2, 4, 0], "decoder_segments": [1] * 9}


@pytest.mark.parametrize("padding", [0, 7])
def test_language_model_copies_greedily(shared_data, padding):
    model, params = language_model(shared_data)
    batch = {name: [0] * padding + values for name, values in PROMPT.items()}
    assert decode(model, params, batch, max_length=6)[0] == [[3, 7, 5, 3, 2, 4]]


def test_language_models_three_beams(shared_data):
    model, params = language_model(shared_data)
    tokens, scores = decode(model, params, PROMPT, method="beam", beams=3, max_length=6)
    assert tokens == [[3, 7, 5, 3, 2, 4], [3, 7, 5, 3, 2, 2], [3, 7, 5, 3, 3, 2]]
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize(
    "settings", [{}, {"method": "beam", "beams": 1}, {"method": "beam", "beams": 4}, {"method": "sample", "top_k": 1}]
)
@pytest.mark.parametrize("padding", [0, 8])
def test_copier_copies(shared_data, padding, settings):
    model, params = copier(shared_data)
    batch = {"encoder_inputs": [3, 7, 5, 3, 2, 4, 1, 8] + [0] * padding, "encoder_segments": [1] * 8 + [0] * padding}
    tokens, _ = decode(model, params, batch, max_length=12, **settings)
    assert tokens[0] == [3, 7, 5, 3, 2, 4, 1, 0, 0, 0, 0, 0]
