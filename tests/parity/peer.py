"""The Hugging Face PyTorch models of the cases, their logits, gradients and generated tokens."""

import numpy as np
import torch
import transformers
from reference import CASES, inputs


def model(case: str) -> torch.nn.Module:
    """A model with random weights, none of them degenerate: every norm, bias and table drawn anew."""
    c = CASES[case]
    torch.manual_seed(sum(map(ord, case)))
    common = dict(vocab_size=c.vocab_size, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    if case.startswith("t5"):
        made = transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                **common,
                d_model=c.width,
                d_kv=c.head_width,
                d_ff=c.mlp_width,
                num_heads=c.heads,
                num_layers=c.encoder_layers,
                num_decoder_layers=c.decoder_layers,
                relative_attention_num_buckets=c.relative_buckets,
                relative_attention_max_distance=c.relative_max_distance,
                dropout_rate=0.0,
                layer_norm_epsilon=c.norm_epsilon,
                feed_forward_proj="gated-gelu" if c.gated else "relu",
                tie_word_embeddings=c.tie_logits,
                scale_decoder_outputs=c.scale_logits,
                attn_implementation="eager",
            )
        )
        if not c.tie_logits:  # this release ties them whatever the config says
            made.lm_head.weight = torch.nn.Parameter(torch.empty(c.vocab_size, c.width))
    elif case == "gpt2":
        made = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=c.vocab_size,
                n_positions=c.max_length,
                n_embd=c.width,
                n_layer=c.decoder_layers,
                n_head=c.heads,
                n_inner=c.mlp_width,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=0,
                attn_implementation="eager",
            )
        )
    else:
        made = transformers.MarianMTModel(
            transformers.MarianConfig(
                **common,
                d_model=c.width,
                encoder_layers=c.encoder_layers,
                decoder_layers=c.decoder_layers,
                encoder_attention_heads=c.heads,
                decoder_attention_heads=c.heads,
                encoder_ffn_dim=c.mlp_width,
                decoder_ffn_dim=c.mlp_width,
                activation_function="relu" if c.activation == "relu" else "swish",
                scale_embedding=c.scale_embeddings,
                max_position_embeddings=c.max_length,
                dropout=0.0,
                attention_dropout=0.0,
                forced_eos_token_id=None,
                attn_implementation="eager",
            )
        )
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "embed_positions" not in name:  # Marian's sinusoids
                noise = torch.randn(parameter.shape, generator=generator)
                norm = parameter.ndim == 1 and name.endswith("weight")
                parameter.copy_(1.0 + 0.3 * noise if norm else 0.3 * noise)
        if "final_logits_bias" in dict(made.named_buffers()):
            made.final_logits_bias.copy_(0.3 * torch.randn(made.final_logits_bias.shape, generator=generator))
    for module in made.modules():  # mathematics gives the pad row its gradient; PyTorch leaves it out
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return made.eval()


def tensors(case: str, made: torch.nn.Module, gradients: bool = False) -> dict[str, np.ndarray]:
    """The named tensors (or their gradients) as `reference` names them."""
    source = {n: p.grad if gradients else p for n, p in made.named_parameters()}
    if gradients:
        source = {n: g for n, g in source.items() if g is not None}
    elif "final_logits_bias" in dict(made.named_buffers()):
        source["final_logits_bias"] = made.final_logits_bias[0]
    found = {n: t.detach().numpy() for n, t in source.items()}
    for name in [n for n in found if "attn.c_attn" in n]:
        for part, value in zip("qkv", np.split(found[name], 3, axis=-1)):
            found[f"{name}|{part}"] = value
    return found


def run(case: str) -> dict[str, np.ndarray]:
    """Everything that a golden file holds."""
    made, given = model(case), {k: torch.tensor(v) for k, v in inputs(case).items()}
    if case == "gpt2":
        labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
        out = made(input_ids=given["tokens"], attention_mask=given["mask"], labels=labels)
        prompts = torch.flip(given["tokens"][:, :5], dims=[1]).clone()
        prompts[1, :2], mask = 0, torch.ones(2, 5, dtype=torch.long)
        mask[1, :2] = 0
        prompts[:, 0] = 0  # the start token of a prompt: pad on the left for the second row
        prompts[1, 2] = 0
        arguments = dict(input_ids=prompts, attention_mask=mask, max_new_tokens=9)
        result = {"prompts": prompts.numpy(), "prompts_mask": mask.numpy()}
    else:
        labels = given["targets"].masked_fill(given["targets_mask"] == 0, -100)
        shifted = torch.cat([torch.zeros(2, 1, dtype=torch.long), given["targets"][:, :-1]], dim=1)
        out = made(input_ids=given["tokens"], attention_mask=given["mask"], decoder_input_ids=shifted, labels=labels)
        arguments = dict(input_ids=given["tokens"], attention_mask=given["mask"], max_new_tokens=9)
        result = {}
    out.loss.backward()
    result |= {"logits": out.logits.detach().numpy(), "loss": np.asarray(out.loss.item())}
    start = 5 if case == "gpt2" else 1
    # Without its cache, which fails where the stacks have different depths.
    common = dict(do_sample=False, pad_token_id=0, eos_token_id=1, use_cache=False)
    with torch.no_grad():
        greedy = made.generate(**arguments, **common, num_beams=1)
        beams = made.generate(
            **arguments, **common, num_beams=4, length_penalty=0.0, early_stopping="never", num_return_sequences=4
        )
    result |= {"greedy": _ended(greedy[:, start:]), "beams": _ended(beams[:, start:]).reshape(2, 4, -1)}
    result |= {f"tensor:{n}": v for n, v in tensors(case, made).items()}
    result |= {f"gradient:{n}": v for n, v in tensors(case, made, gradients=True).items()}
    return result


def _ended(tokens: torch.Tensor) -> np.ndarray:
    """Generated tokens padded to nine, with 0 after the end of sequence."""
    tokens = np.pad(tokens.numpy(), ((0, 0), (0, 9 - tokens.shape[1])))
    after = np.cumsum(tokens == 1, axis=1) - (tokens == 1) > 0
    return np.where(after, 0, tokens).astype(np.int32)
