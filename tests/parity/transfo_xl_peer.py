"""What the Transformer-XL of Hugging Face transformers 4.35.2, the last release that runs it, gives for two segments.

PYTHONPATH=. python tests/parity/transfo_xl_peer.py        writes tests/golden/transfo_xl*, with that release installed

Its own `save_pretrained` fails on tensors that have several names: here each is written once, under its first name.
"""

import importlib.util
import json
import pathlib

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
LIVE = importlib.util.find_spec("transformers") and importlib.util.find_spec("transformers.models.transfo_xl")
_COMMON = {
    "vocab_size": 61, "cutoffs": [10, 30, 50], "d_model": 8, "d_embed": 8, "n_head": 2, "d_head": 3, "d_inner": 12,
    "n_layer": 2, "div_val": 2, "mem_len": 7, "clamp_len": -1, "same_length": False, "dropout": 0.0, "dropatt": 0.0,
    "layer_norm_epsilon": 1e-2, "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
LM = "TransfoXLLMHeadModel"
CASES: dict[str, tuple[str, dict]] = {
    "transfo_xl": (LM, {"same_length": True, "clamp_len": 6}),
    "transfo_xl_pre": (LM, {"pre_lnorm": True, "untie_r": False, "n_layer": 3}),
    "transfo_xl_one_table": (LM, {"div_val": 1, "d_embed": 10, "cutoffs": [20, 45]}),
    "transfo_xl_plain_width": (LM, {"div_val": 1, "clamp_len": 2}),
    "transfo_xl_untied": (LM, {"proj_share_all_but_first": False, "tie_word_embeddings": False}),
    "transfo_xl_one_cluster": (LM, {"cutoffs": [], "div_val": 1, "untie_r": False, "same_length": True}),
    "transfo_xl_short": (LM, {"mem_len": 3, "same_length": True, "div_val": 4, "d_embed": 64}),
    "transfo_xl_forgetful": (LM, {"mem_len": 0}),
    "transfo_xl_classes": ("TransfoXLForSequenceClassification", {"id2label": {0: "a", 1: "b", 2: "c"}}),
    "transfo_xl_base": ("TransfoXLModel", {"pre_lnorm": True}),
}
KEPT = ("transfo_xl", "transfo_xl_pre")  # with golden files


def arguments(case: str) -> list[dict[str, np.ndarray]]:
    """What the model is called with, segment after segment; labels with the second alone."""
    generator = np.random.default_rng(sum(map(ord, case)))
    tokens = generator.integers(2, _COMMON["vocab_size"], (2, 14))
    first, second = {"input_ids": tokens[:, :9]}, {"input_ids": tokens[:, 9:]}
    if "classes" in case:
        return [first, second | {"labels": np.array([2, 0])}]
    if "base" in case:
        return [first, second]
    labels = tokens[:, 9:].copy()
    labels[1, 3] = -100
    return [first, second | {"labels": labels}]


def model(case: str):
    """A model of random weights, none of them degenerate."""
    import torch
    import transformers

    class_name, settings = CASES[case]
    made = getattr(transformers, class_name)(transformers.TransfoXLConfig(**{**_COMMON, **settings}))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            noise = 0.3 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1.0 + noise if name.endswith("layer_norm.weight") else noise)
    return made.eval()


def write(case: str, folder: pathlib.Path) -> None:
    """The folder of a case: config.json, model.safetensors, and the results of both segments."""
    import safetensors.torch
    import torch

    made = model(case)
    folder.mkdir(parents=True, exist_ok=True)
    values = {"architectures": [CASES[case][0]], **json.loads(made.config.to_json_string())}
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    tensors = {name: p.detach().contiguous() for name, p in made.named_parameters()}
    safetensors.torch.save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    first, second = outputs(case, made)
    out = made(**_torch(arguments(case)[1]), mems=_torch(first).get("mems"))
    result = {f"0:{name}": value for name, value in _numbered(first).items()}
    result |= {f"1:{name}": value for name, value in _numbered(second).items()}
    if out.get("loss") is not None:
        out["loss"].backward()
        result["loss"] = out["loss"].detach().numpy()
        result |= {f"gradient:{n}": _gradient(p) for n, p in made.named_parameters()}
    if CASES[case][0] == LM:
        prompt = torch.tensor(arguments(case)[0]["input_ids"][:, :5])
        common = dict(max_new_tokens=6, do_sample=False, eos_token_id=-1, pad_token_id=0)
        result["greedy"] = made.generate(prompt, **common).numpy()[:, 5:]
        beams = made.generate(prompt, **common, num_beams=3, num_return_sequences=3, length_penalty=0.0)
        result["beams"] = beams.numpy()[:, 5:].reshape(2, 3, -1)
    np.savez_compressed(folder / "results.npz", **result)


def outputs(case: str, made) -> list[dict]:
    """Of both segments, without labels: with these it gives no scores."""
    import torch

    found, mems = [], None
    for given in arguments(case):
        given = {name: value for name, value in given.items() if name != "labels"}
        with torch.no_grad():
            out = made(**_torch(given), mems=mems, output_hidden_states=True)
        mems = out.get("mems")
        found.append({name: value for name, value in out.items() if value is not None})
    return found


def read(folder: pathlib.Path, case: str) -> list[dict[str, np.ndarray]]:
    """The outputs of a folder, read by transformers."""
    import torch
    import transformers

    made = getattr(transformers, CASES[case][0]).from_pretrained(folder, torch_dtype=torch.float32).eval()
    return [_numbered(found) for found in outputs(case, made)]


def _torch(given):
    import torch

    return {n: torch.tensor(v) if isinstance(v, np.ndarray) else v for n, v in given.items()}


def _numbered(out) -> dict[str, np.ndarray]:
    found = {}
    for name, value in out.items():
        many = isinstance(value, (tuple, list))
        found |= {f"{name}:{i}": x.numpy() for i, x in enumerate(value)} if many else {name: value.numpy()}
    return found


def _gradient(parameter) -> np.ndarray:
    return np.zeros(parameter.shape, np.float32) if parameter.grad is None else parameter.grad.numpy()


if __name__ == "__main__":
    for case in KEPT:
        write(case, GOLDEN / case)
        print(case, sum(p.stat().st_size for p in (GOLDEN / case).iterdir()))
