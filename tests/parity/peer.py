"""Hugging Face's PyTorch models of the cases: written as folders, with outputs, gradients and generated tokens."""

import pathlib
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import transformers
from cases import CASES, arguments
from transformers.core_model_loading import revert_weight_conversion

RESULTS = "results.npz"  # in the folder of a case


def model(name: str) -> torch.nn.Module:
    """A model with random weights, none of them degenerate: every norm, bias and table drawn anew."""
    case = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    config = getattr(transformers, case.config_name)(**case.settings, attn_implementation="eager")
    made = getattr(transformers, case.class_name)(config)
    if case.untied:
        made.lm_head.weight = torch.nn.Parameter(torch.empty(config.vocab_size, config.d_model))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter_name, parameter in made.named_parameters():
            if parameter.requires_grad:  # sinusoids do not
                noise = torch.randn(parameter.shape, generator=generator)
                norm = parameter.ndim == 1 and parameter_name.endswith("weight")
                parameter.copy_(1.0 + 0.3 * noise if norm else 0.3 * noise)
        if "final_logits_bias" in dict(made.named_buffers()):
            made.final_logits_bias.copy_(0.3 * torch.randn(made.final_logits_bias.shape, generator=generator))
    for module in made.modules():  # mathematics gives the pad row its gradient; PyTorch leaves it out
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return made.eval()


def call(name: str, made: torch.nn.Module, **flags: Any):
    """The model's output for the arguments of a case."""
    given = {k: torch.tensor(v) for k, v in arguments(name).items()}
    return made(**given, **flags)


def outputs(out: Any) -> dict[str, np.ndarray]:
    """All arrays of an output, those of tuples numbered."""
    found = {}
    for key, value in out.items():
        if isinstance(value, torch.Tensor):
            found[f"output:{key}"] = value.detach().numpy()
        elif isinstance(value, tuple) and all(isinstance(v, torch.Tensor) for v in value):
            found |= {f"output:{key}:{i}": v.detach().numpy() for i, v in enumerate(value)}
    return found


def write(name: str, folder: pathlib.Path) -> None:
    """The folder of a case: config.json, model.safetensors and the results."""
    made = model(name)
    made.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    out = call(name, made, output_hidden_states=True)
    result = outputs(out)
    saved = set(safetensors.numpy.load_file(folder / "model.safetensors"))  # tied parameters have several names
    if "loss" in out:
        out.loss.backward()
        parameters = made.named_parameters(remove_duplicate=False)
        gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in parameters if p.requires_grad}
        gradients = revert_weight_conversion(made, gradients)  # as files name them
        result |= {f"gradient:{n}": gradient.detach().numpy() for n, gradient in gradients.items() if n in saved}
        result["untrained"] = np.array([n for n in sorted(saved) if f"gradient:{n}" not in result], dtype=str)
    generates = generated(name, made) if CASES[name].generates else {}
    np.savez_compressed(folder / RESULTS, **result, **generates)


def generated(name: str, made: torch.nn.Module) -> dict[str, np.ndarray]:
    """What it generates greedily and with beams; of a decoder from prompts that are given too."""
    given = {k: torch.tensor(v) for k, v in arguments(name).items() if k != "labels"} | {"max_new_tokens": 9}
    result, start = {}, 1
    if not made.config.is_encoder_decoder:
        prompts = torch.flip(given["input_ids"][:, :5], dims=[1]).clone()
        prompts[1, :2], mask = 0, torch.ones(2, 5, dtype=torch.long)
        mask[1, :2] = 0
        prompts[:, 0] = 0  # the start token of a prompt: pad on the left for the second row
        prompts[1, 2] = 0
        given |= {"input_ids": prompts, "attention_mask": mask}
        result, start = {"prompts": prompts.numpy(), "prompts_mask": mask.numpy()}, 5
    # Without its cache, which fails where the stacks have different depths.
    common = dict(do_sample=False, pad_token_id=0, eos_token_id=1, use_cache=False)
    with torch.no_grad():
        greedy = made.generate(**given, **common, num_beams=1)
        beams = made.generate(
            **given, **common, num_beams=4, length_penalty=0.0, early_stopping="never", num_return_sequences=4
        )
    return result | {"greedy": _ended(greedy[:, start:]), "beams": _ended(beams[:, start:]).reshape(2, 4, -1)}


def read(folder: pathlib.Path, name: str) -> dict[str, np.ndarray]:
    """The outputs of a folder, read by transformers, for the arguments of a case."""
    # In float32 from the start: sinusoids that are made in 16 bits stay rounded.
    kind = getattr(transformers, CASES[name].class_name)
    made = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        return outputs(call(name, made))


def _ended(tokens: torch.Tensor) -> np.ndarray:
    """Generated tokens padded to nine, with 0 after the end of sequence."""
    tokens = np.pad(tokens.numpy(), ((0, 0), (0, 9 - tokens.shape[1])))
    after = np.cumsum(tokens == 1, axis=1) - (tokens == 1) > 0
    return np.where(after, 0, tokens).astype(np.int32)
