"""Hugging Face's PyTorch models of the cases: written as folders, with their logits, gradients and generated tokens."""

import pathlib

import numpy as np
import safetensors.numpy
import torch
import transformers
from cases import CASES, ENCODERS, inputs

RESULTS = "results.npz"  # in the folder of a case


def model(case: str) -> torch.nn.Module:
    """A model with random weights, none of them degenerate: every norm, bias and table drawn anew."""
    class_name, config_name, settings = CASES[case]
    torch.manual_seed(sum(map(ord, case)))
    config = getattr(transformers, config_name)(**settings, attn_implementation="eager")
    made = getattr(transformers, class_name)(config)
    if case == "t5_v1_1":  # this release ties them whatever the config says
        made.lm_head.weight = torch.nn.Parameter(torch.empty(config.vocab_size, config.d_model))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.requires_grad:  # sinusoids do not
                noise = torch.randn(parameter.shape, generator=generator)
                norm = parameter.ndim == 1 and name.endswith("weight")
                parameter.copy_(1.0 + 0.3 * noise if norm else 0.3 * noise)
        if "final_logits_bias" in dict(made.named_buffers()):
            made.final_logits_bias.copy_(0.3 * torch.randn(made.final_logits_bias.shape, generator=generator))
    for module in made.modules():  # mathematics gives the pad row its gradient; PyTorch leaves it out
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return made.eval()


def call(case: str, made: torch.nn.Module, learn: bool = True):
    """The model's output for the inputs of a case, with its loss where `learn` says so."""
    given = {k: torch.tensor(v) for k, v in inputs(case).items()}
    arguments = {"input_ids": given["tokens"], "attention_mask": given["mask"]}
    if case in ENCODERS:
        labels, counted = given["targets"], given["learned"]
        if "types" in given:
            arguments["token_type_ids"] = given["types"]
    elif made.config.is_encoder_decoder:
        labels, counted = given["targets"], given["targets_mask"]
        shifted = torch.cat([torch.zeros(2, 1, dtype=torch.long), labels[:, :-1]], dim=1)
        arguments["decoder_input_ids"] = shifted
    else:
        labels, counted = given["tokens"], given["mask"]
    return made(**arguments, **({"labels": labels.masked_fill(counted == 0, -100)} if learn else {}))


def write(case: str, folder: pathlib.Path) -> None:
    """The folder of a case: config.json, model.safetensors and the results."""
    made = model(case)
    made.save_pretrained(folder)
    out = call(case, made)
    out.loss.backward()
    result = {"logits": out.logits.detach().numpy(), "loss": np.asarray(out.loss.item())}
    saved = set(safetensors.numpy.load_file(folder / "model.safetensors"))  # tied parameters have several names
    for name, parameter in made.named_parameters(remove_duplicate=False):
        if name in saved and parameter.grad is not None:
            result[f"gradient:{name}"] = parameter.grad.numpy()
    np.savez_compressed(folder / RESULTS, **result, **({} if case in ENCODERS else generated(case, made)))


def generated(case: str, made: torch.nn.Module) -> dict[str, np.ndarray]:
    """What it generates greedily and with beams; of a decoder from prompts that are given too."""
    given = {k: torch.tensor(v) for k, v in inputs(case).items()}
    arguments = {"input_ids": given["tokens"], "attention_mask": given["mask"], "max_new_tokens": 9}
    result, start = {}, 1
    if not made.config.is_encoder_decoder:
        prompts = torch.flip(given["tokens"][:, :5], dims=[1]).clone()
        prompts[1, :2], mask = 0, torch.ones(2, 5, dtype=torch.long)
        mask[1, :2] = 0
        prompts[:, 0] = 0  # the start token of a prompt: pad on the left for the second row
        prompts[1, 2] = 0
        arguments |= {"input_ids": prompts, "attention_mask": mask}
        result, start = {"prompts": prompts.numpy(), "prompts_mask": mask.numpy()}, 5
    # Without its cache, which fails where the stacks have different depths.
    common = dict(do_sample=False, pad_token_id=0, eos_token_id=1, use_cache=False)
    with torch.no_grad():
        greedy = made.generate(**arguments, **common, num_beams=1)
        beams = made.generate(
            **arguments, **common, num_beams=4, length_penalty=0.0, early_stopping="never", num_return_sequences=4
        )
    return result | {"greedy": _ended(greedy[:, start:]), "beams": _ended(beams[:, start:]).reshape(2, 4, -1)}


def logits(folder: pathlib.Path, case: str) -> np.ndarray:
    """The logits of a folder, read by transformers, for the inputs of a case."""
    # In float32 from the start: sinusoids that are made in 16 bits stay rounded.
    kind = getattr(transformers, CASES[case][0])
    made = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        return call(case, made, learn=False).logits.numpy()


def _ended(tokens: torch.Tensor) -> np.ndarray:
    """Generated tokens padded to nine, with 0 after the end of sequence."""
    tokens = np.pad(tokens.numpy(), ((0, 0), (0, 9 - tokens.shape[1])))
    after = np.cumsum(tokens == 1, axis=1) - (tokens == 1) > 0
    return np.where(after, 0, tokens).astype(np.int32)
