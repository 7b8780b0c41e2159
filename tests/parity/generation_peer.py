"""Hugging Face's PyTorch models of `generation`: written as folders, with what they generate.

PYTHONPATH=.:tests/parity python tests/parity/generation_peer.py      (with the `parity` extra installed)
"""

import pathlib

import numpy as np
import torch
import transformers
from generation import MODELS, OPTIONS, SEEDS, inputs

RESULTS = "results.npz"


def model(name: str, seed: int) -> torch.nn.Module:
    """A model whose weights are drawn so large that its text varies."""
    class_name, config_name, settings, generation = MODELS[name]
    made = getattr(transformers, class_name)(
        getattr(transformers, config_name)(**settings, attn_implementation="eager")
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if parameter.requires_grad:  # sinusoids do not
                norm = parameter.ndim == 1 and key.endswith("weight")
                parameter.copy_(float(norm) + 0.5 * torch.randn(parameter.shape, generator=generator))
    made.generation_config.update(**generation)
    return made.eval()


def generated(made: torch.nn.Module, given: dict[str, np.ndarray], arguments: dict) -> np.ndarray:
    """Ids; without a cache, which fails where the stacks have different depths."""
    with torch.no_grad():
        ids = made.generate(**{k: torch.tensor(v) for k, v in given.items()}, **arguments, use_cache=False)
    return ids.numpy().astype(np.int32)


def write(name: str, folder: pathlib.Path, seed: int = 0) -> None:
    """The folder of a model: its config, tensors, generation_config.json, inputs and results."""
    made, given = model(name, seed + SEEDS.get(name, 0)), inputs(name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    made.save_pretrained(folder)
    results = {option: generated(made, given, arguments) for option, arguments in OPTIONS[name].items()}
    np.savez_compressed(folder / RESULTS, **{f"given:{k}": v for k, v in given.items()}, **results)


if __name__ == "__main__":
    for each in MODELS:
        place = pathlib.Path(__file__).resolve().parent.parent / "golden" / f"generate_{each}"
        write(each, place)
        print(each, sum(p.stat().st_size for p in place.iterdir()))
