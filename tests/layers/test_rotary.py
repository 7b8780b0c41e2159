"""Rotary positions equal the paper's formula in NumPy, and a whole decoder with them Hugging Face's Llama."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.errors import ConfigError
from t2t.layers import LayerConfig
from t2t.layers.rotary import rotation
from t2t.models import ModelConfig, build


def turned(x, positions, width, base):
    """Pairs of features as complex numbers times e^(i · position · θ), in float64 (Su et al. 2021, section 3.2)."""
    x, half = np.asarray(x, np.float64), width // 2
    theta = float(base) ** (-2.0 * np.arange(half) / width)
    pairs = (x[..., :half] + 1j * x[..., half:width]) * np.exp(1j * np.asarray(positions)[:, :, None, None] * theta)
    return np.concatenate([pairs.real, pairs.imag, x[..., width:]], axis=-1)


@pytest.mark.parametrize(("width", "base"), [(8, 10_000.0), (4, 500.0)])
def test_equals_the_formula_and_its_gradient(width, base):
    generator = np.random.default_rng(0)
    x, cotangent = generator.normal(size=(2, 2, 5, 3, 8)).astype(np.float32)
    positions = np.asarray([[0, 1, 2, 3, 4], [7, 0, 300, 2, 41]])
    out, back = jax.vjp(rotation(jnp.asarray(positions), width, base), x)
    np.testing.assert_allclose(out, turned(x, positions, width, base), atol=5e-5)
    np.testing.assert_allclose(back(cotangent)[0], turned(cotangent, -positions, width, base), atol=5e-5)
    in_half = rotation(jnp.asarray(positions), width, base)(x.astype(jnp.bfloat16))
    assert in_half.dtype == jnp.bfloat16
    np.testing.assert_allclose(in_half.astype(np.float32), out, atol=0.05)


@pytest.mark.pytorch
def test_a_part_of_the_head_turns_as_in_gpt_neox():
    import torch
    from transformers import GPTNeoXConfig
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding, apply_rotary_pos_emb

    peer = GPTNeoXConfig(hidden_size=48, num_attention_heads=3, rotary_pct=0.25, max_position_embeddings=64)
    x = np.random.default_rng(1).normal(size=(2, 7, 3, 16)).astype(np.float32)
    positions = np.tile(np.arange(3, 10), (2, 1))
    cos, sin = GPTNeoXRotaryEmbedding(peer)(torch.tensor(x), torch.tensor(positions))
    heads_first = torch.tensor(x).transpose(1, 2)
    expected = apply_rotary_pos_emb(heads_first, heads_first, cos, sin)[0].transpose(1, 2)
    config = LayerConfig(width=48, heads=3, mlp_width=8, positions="rotary", rotary_fraction=0.25)
    found = rotation(jnp.asarray(positions), config.rotary_width, config.rotary_base)(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.pytorch
def test_a_decoder_equals_llama():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    v, d, f, h, layers = 29, 24, 40, 3, 2
    torch.manual_seed(0)
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=v,
            hidden_size=d,
            intermediate_size=f,
            num_hidden_layers=layers,
            num_attention_heads=h,
            num_key_value_heads=h,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
            attn_implementation="eager",
        )
    ).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    tokens = np.random.default_rng(2).integers(0, v, (2, 11))
    weights = np.random.default_rng(3).normal(size=(2, 11, v)).astype(np.float32)
    logits = peer(torch.tensor(tokens)).logits
    (logits * torch.tensor(weights)).sum().backward()

    def tree(of):
        def inward(p):
            return {"kernel": of(p).T.reshape(d, h, d // h)}

        def layer(i):
            at, mlp = peer.model.layers[i].self_attn, peer.model.layers[i].mlp
            return {
                "self_attention": {
                    "query": inward(at.q_proj.weight),
                    "key": inward(at.k_proj.weight),
                    "value": inward(at.v_proj.weight),
                    "out": {"kernel": of(at.o_proj.weight).T.reshape(h, d // h, d)},
                },
                "self_attention_norm": {"scale": of(peer.model.layers[i].input_layernorm.weight)},
                "feed_forward": {
                    "gate": {"kernel": of(mlp.gate_proj.weight).T},
                    "in": {"kernel": of(mlp.up_proj.weight).T},
                    "out": {"kernel": of(mlp.down_proj.weight).T},
                },
                "feed_forward_norm": {"scale": of(peer.model.layers[i].post_attention_layernorm.weight)},
            }

        return {
            "tokens": {"table": of(peer.model.embed_tokens.weight)},
            "decoder": {f"layer_{i}": layer(i) for i in range(layers)}
            | {"norm": {"scale": of(peer.model.norm.weight)}},
            "logits": {"projection": {"kernel": of(peer.lm_head.weight).T}},
        }

    config = ModelConfig(
        architecture="decoder",
        vocab_size=v,
        width=d,
        heads=h,
        mlp_width=f,
        decoder_layers=layers,
        norm="rms",
        bias=False,
        gated=True,
        activation="silu",
        positions="rotary",
        rotary_base=500.0,
        tie_logits=False,
    )

    def loss(params):
        found = build(config).apply({"params": params}, {"decoder_inputs": tokens})
        return (found * weights).sum(), found

    gradient, found = jax.grad(loss, has_aux=True)(tree(lambda p: p.detach().numpy()))
    scale = logits.detach().abs().max().item()
    np.testing.assert_allclose(found, logits.detach().numpy(), atol=2e-5 * scale, rtol=0)
    expected = tree(lambda p: p.grad.numpy())

    def close(a, b):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1.0, np.abs(b).max()), rtol=0)

    jax.tree.map(close, gradient, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_width": 5}, "turn pairs of features, found rotary_fraction 1.0 of head_width 5, 5 features"),
        ({"rotary_fraction": 0.1}, "0 features: make it an even number"),
        ({"rotary_fraction": 1.5}, "rotary_fraction: expected more than 0 and at most 1, found 1.5"),
        ({"rotary_base": 1.0}, "rotary_base: expected more than 1, found 1.0"),
    ],
)
def test_impossible_turns_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LayerConfig(**{"width": 8, "heads": 2, "mlp_width": 8, "positions": "rotary", **change})
