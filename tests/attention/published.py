"""What Hugging Face's PyTorch Longformer and BigBird compute: outputs and gradients of their self-attention with random
weights. `python tests/attention/published.py` writes the golden files; only it and the live tests need PyTorch."""

import pathlib
from types import SimpleNamespace

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"
B, H, K = 2, 2, 4


def longformer(window: int = 8, count: int = 3, n: int = 32, masked: int = 5) -> dict[str, np.ndarray]:
    """Sliding windows of `window` // 2 to each side and the first `count` tokens global, whose separate projections are
    set to the others; the second row is padded by `masked`."""
    import torch
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    torch.manual_seed(0)
    config = LongformerConfig(
        hidden_size=H * K, num_attention_heads=H, attention_window=[window], attention_probs_dropout_prob=0.0
    )
    layer = LongformerSelfAttention(config, 0)
    for name in ("query", "key", "value"):
        getattr(layer, f"{name}_global").load_state_dict(getattr(layer, name).state_dict())
    _randomise(layer)
    for name in ("query", "key", "value"):
        getattr(layer, f"{name}_global").load_state_dict(getattr(layer, name).state_dict())
    mask = torch.zeros(B, n)
    mask[:, :count] = 10_000.0
    mask[1, n - masked :] = -10_000.0
    hidden = torch.randn(B, n, H * K, requires_grad=True)
    out = layer(
        hidden,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=True,
    )[0]
    return _record(layer, hidden, out, (mask >= 0).int())


def big_bird(block: int = 4, random: int = 2, n: int = 64) -> dict[str, np.ndarray]:
    """Blocks with `random` random ones for each head, drawn as in training; no padding."""
    import torch
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    torch.manual_seed(1)
    config = SimpleNamespace(
        max_position_embeddings=n,
        hidden_size=H * K,
        num_attention_heads=H,
        num_random_blocks=random,
        block_size=block,
        use_bias=True,
    )
    layer = BigBirdBlockSparseAttention(config, seed=7).train()
    _randomise(layer)
    mask = torch.ones(B, n)
    blocked, band, of_queries, of_keys = BigBirdModel.create_masks_for_block_sparse_attn(mask, block)
    hidden = torch.randn(B, n, H * K, requires_grad=True)
    out = layer(hidden, band, of_queries, of_keys, blocked, blocked)[0]
    np.random.seed(7)
    length, count = layer._get_rand_attn_plan(n, block, random)
    drawn = layer._bigbird_block_rand_mask_with_head(n, n, block, block, H, length, count)
    return _record(layer, hidden, out, mask.int()) | {"random": np.stack(drawn), "block": np.asarray(block)}


def _randomise(layer) -> None:
    import torch

    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5)


def _record(layer, hidden, out, segments) -> dict[str, np.ndarray]:
    """Weights, inputs, outputs, and the gradients of the sum of outputs weighted by their own sines."""
    import torch

    weight = torch.sin(torch.arange(out.numel(), dtype=torch.float32)).reshape(out.shape) * segments[..., None]
    (out * weight).sum().backward()
    found = {"hidden": hidden, "out": out, "weight": weight, "segments": segments, "d_hidden": hidden.grad}
    for name in ("query", "key", "value"):
        linear = getattr(layer, name)
        found |= {f"{name}.weight": linear.weight, f"{name}.bias": linear.bias}
    return {name: x.detach().numpy() for name, x in found.items()}


if __name__ == "__main__":
    for case in (longformer, big_bird):
        np.savez_compressed(GOLDEN / f"{case.__name__}.npz", **case())
