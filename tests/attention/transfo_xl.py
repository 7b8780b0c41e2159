"""What the Transformer-XL of Hugging Face transformers 4.35.2 (the last release that runs it without further consent)
computes, with random weights, over three consecutive segments.

    python tests/attention/transfo_xl.py        writes tests/attention/golden/transformer_xl.npz
"""

import importlib.util
import pathlib

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "transformer_xl.npz"
LIVE = importlib.util.find_spec("transformers") and importlib.util.find_spec("transformers.models.transfo_xl")
WAYS = [
    "golden",
    pytest.param("live", marks=pytest.mark.skipif(not LIVE, reason="transformers 4.35.2 and PyTorch are not here")),
]
SIZES = {"d_model": 8, "n_head": 2, "d_head": 3, "d_inner": 12, "n_layer": 2, "vocab_size": 11}
BATCH, SEGMENT, SEGMENTS, MEMORY = 2, 4, 3, 6
CASES = {
    "plain": {"clamp_len": -1, "same_length": False},
    "clamp": {"clamp_len": 3, "same_length": False},
    "same_length": {"clamp_len": -1, "same_length": True},
}


def weights(case: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Random weights, float32: none of them 0, and the scales of layer norms about 1."""
    generator = np.random.default_rng(list(CASES).index(case))
    return {
        name: (0.4 * generator.standard_normal(shape) + (name.endswith("layer_norm.weight"))).astype(np.float32)
        for name, shape in shapes.items()
    }


def found(way: str) -> dict[str, np.ndarray]:
    """What the published model gave: from the golden file, or run again where it is installed."""
    return dict(np.load(GOLDEN)) if way == "golden" else run()


def run() -> dict[str, np.ndarray]:
    """For each case the tokens, the weights, and of all three segments the states, the logits (states · embeddings) and
    the gradient of the sum of their sines by every weight."""
    import torch
    from transformers import TransfoXLConfig, TransfoXLModel

    found = {}
    for case, settings in CASES.items():
        config = TransfoXLConfig(
            **SIZES | settings,
            d_embed=SIZES["d_model"],
            mem_len=MEMORY,
            cutoffs=[],
            div_val=1,
            dropout=0.0,
            dropatt=0.0,
            untie_r=True,
            pre_lnorm=False,
        )
        model = TransfoXLModel(config).eval()
        parameters = dict(model.named_parameters())
        drawn = weights(case, {name: tuple(p.shape) for name, p in parameters.items()})
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(torch.from_numpy(drawn[name]))
        tokens = np.random.default_rng(9).integers(0, SIZES["vocab_size"], (BATCH, SEGMENT * SEGMENTS))
        memory, logits = None, []
        for start in range(0, SEGMENT * SEGMENTS, SEGMENT):
            out = model(torch.from_numpy(tokens[:, start : start + SEGMENT]), mems=memory)
            memory = out.mems
            logits.append(out.last_hidden_state @ parameters["word_emb.emb_layers.0.weight"].T)
        logits = torch.cat(logits, dim=1)
        torch.sin(logits).sum().backward()
        found |= {f"{case}/tokens": tokens.astype(np.int32), f"{case}/logits": logits.detach().numpy()}
        found |= {f"{case}/weight/{name}": value for name, value in drawn.items()}
        found |= {f"{case}/gradient/{name}": p.grad.numpy() for name, p in parameters.items()}
        found |= attention_layer(model.layers[1].dec_attn, case, config)
    return found


def attention_layer(layer, case: str, config) -> dict[str, np.ndarray]:
    """The attention of one layer by itself, before its residual and norm, with what came before as its memory."""
    import torch

    generator = np.random.default_rng(3)
    x = torch.from_numpy(generator.standard_normal((BATCH, SEGMENT * SEGMENTS, config.d_model)).astype(np.float32))
    x.requires_grad_()
    layer.layer_norm = torch.nn.Identity()
    layer.zero_grad()
    distances = torch.arange(MEMORY + SEGMENT - 1, -1, -1.0)
    if config.clamp_len > 0:
        distances = distances.clamp(max=config.clamp_len)
    rates = 1 / (10000 ** (torch.arange(0.0, config.d_model, 2.0) / config.d_model))
    sinusoids = torch.cat([torch.outer(distances, rates).sin(), torch.outer(distances, rates).cos()], dim=-1)[:, None]
    rows, columns = torch.arange(SEGMENT)[:, None], torch.arange(MEMORY + SEGMENT)[None, :]
    hidden = columns > rows + MEMORY
    if config.same_length:
        hidden = hidden | (columns <= rows)
    memory, outs = torch.zeros(MEMORY, BATCH, config.d_model), []
    for start in range(0, SEGMENT * SEGMENTS, SEGMENT):
        w = x[:, start : start + SEGMENT].transpose(0, 1)
        outs.append((layer(w, sinusoids, attn_mask=hidden[:, :, None], mems=memory)[0] - w).transpose(0, 1))
        memory = torch.cat([memory, w.detach()])[-MEMORY:]
    out = torch.cat(outs, dim=1)
    torch.sin(out).sum().backward()
    found = {f"{case}/layer/inputs": x.detach().numpy(), f"{case}/layer/out": out.detach().numpy()}
    found[f"{case}/layer/gradient/inputs"] = x.grad.numpy()
    parameters = {n: p for n, p in layer.named_parameters() if p.grad is not None}
    found |= {f"{case}/layer/weight/{name}": p.detach().numpy() for name, p in parameters.items()}
    return found | {f"{case}/layer/gradient/{name}": p.grad.numpy() for name, p in parameters.items()}


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **run())
