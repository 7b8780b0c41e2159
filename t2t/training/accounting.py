"""What a run costs: FLOPs, how much of the peak they are, and an estimate of energy and CO₂.

FLOPs count matrix products alone, a multiplication and an addition each, three times the forward pass for a training
step (Kaplan et al. 2020, appendix B; recomputation by remat is not counted).
"""

import math
from typing import Any

import jax

from t2t.attention import Mechanism
from t2t.layers.attention import sizes_of
from t2t.models import ModelConfig

# Peak bfloat16 FLOP/s of one device without sparsity, and its power in watts, from the makers' data sheets. Matched
# from the top.
DEVICES: tuple[tuple[str, float, float], ...] = (
    ("TPU v2", 45e12, 280),
    ("TPU v3", 123e12, 220),
    ("TPU v4", 275e12, 192),
    ("TPU v5 lite", 197e12, 200),
    ("TPU v5e", 197e12, 200),
    ("TPU v5p", 459e12, 400),
    ("TPU v5", 459e12, 400),
    ("TPU v6", 918e12, 300),
    ("V100", 125e12, 300),
    ("A100", 312e12, 400),
    ("H100", 989e12, 700),
    ("H200", 989e12, 700),
    ("B200", 2250e12, 1000),
    ("L4", 121e12, 72),
    ("T4", 65e12, 70),
)
UNKNOWN_WATTS = 100.0  # of a device that is not listed, such as a CPU
PUE = 1.58  # of an average data centre (Strubell et al. 2019, section 2)
KG_CO2_PER_KWH = 0.954 * 0.45359237  # 0.954 pounds, the average of power in the U.S. (Strubell et al. 2019, equation 1)


def forward_flops(config: ModelConfig, batch: int, encoder_length: int, decoder_length: int) -> float:
    """FLOPs of a forward pass over rows of these lengths, padding included: what the devices compute, but for heads of
    a few labels. Of a pattern the pairs that it allows are counted."""
    d, v, n, m = config.width, config.vocab_size, encoder_length, decoder_length
    reader, total = config.side("encoder"), 0.0
    if config.encoder_layers:
        total += _encoding(reader, n)
    if config.decoder_layers:
        total += _layers(config, config.decoder_layers, config.decoder_mechanisms, m, causal=True)
    if config.architecture == "encoder-decoder":
        cross = config.cross_attention.flops(m, n, sizes_of(config), causal=False)
        total += config.decoder_layers * (2 * d * _inner(config) * (n + m) + cross)
        total += 2 * reader.width * d * n if reader.width != d else 0
    if "vocabulary" in config.outputs:
        if config.adaptive is not None:  # how many words of the later clusters are scored is for the text to decide
            v = len(config.adaptive.cutoffs) + min(config.adaptive.cutoffs, default=v)
        tabled = config.tie_logits or config.adaptive is not None
        logits = 2 * config.table_width * v if tabled else 2 * d * v
        logits += 2 * d * config.table_width if config.logits_transform else 0
        total += logits * (m if config.decoder_layers else n)
    return batch * total


def _inner(config: ModelConfig) -> int:
    """The width of all heads, queries or keys and values together."""
    return config.heads * (config.head_width + config.output_width)


def _layers(config: ModelConfig, layers: int, mechanisms: tuple[Mechanism, ...], length: int, *, causal: bool) -> float:
    """Of layers of self-attention and feed-forward over a row."""
    d, sizes = config.width, sizes_of(config)
    token = 2 * 2 * d * _inner(config) + 2 * d * config.mlp_width * (3 if config.gated else 2)
    each = [mechanism.flops(length, length, sizes, causal=causal) for mechanism in mechanisms]
    return layers * (token * length + sum(each) / len(each))


def _encoding(config: ModelConfig, n: int) -> float:
    """Of an encoder over a row of n tokens, those of an image among them."""
    d, deep, patches, molecules = config.width, n, config.patches, config.molecules
    total = 2 * d * d // config.convolution_groups * config.convolution * n
    if patches is not None:
        total += 2 * math.prod(patches.patch) * patches.channels * config.table_width * (n - 1)
    if molecules is not None:
        deep = n // molecules.rate
        total += sum(_layers(config, 1, (mix,), n, causal=False) for mix in (molecules.first, molecules.last))
        total += 2 * d * d * (molecules.rate * deep + 2 * molecules.kernel * n)
    return total + _layers(config, config.encoder_layers, config.encoder_mechanisms, deep, causal=False)


def step_flops(config: ModelConfig, batch: dict[str, Any]) -> float:
    """FLOPs of a training step on a (global) batch of these shapes."""
    side = {s: batch[f"{s}_inputs"].shape if f"{s}_inputs" in batch else (0, 0) for s in ("encoder", "decoder")}
    if "encoder_pixels" in batch:
        rows, *image, _ = batch["encoder_pixels"].shape
        side["encoder"] = rows, 1 + math.prod(config.side("encoder").patches.cut(image))
    rows = max(side["encoder"][0], side["decoder"][0])
    return 3.0 * forward_flops(config, rows, side["encoder"][1], side["decoder"][1])


def peak_flops(device: jax.Device) -> float | None:
    """The peak of a device in bfloat16, where it is known."""
    return next((peak for name, peak, _ in DEVICES if name.lower() in device.device_kind.lower()), None)


def footprint(seconds: float, device: jax.Device, devices: int) -> dict[str, Any]:
    """Energy in kWh and CO₂ in kg of a run, with the assumptions behind them."""
    watts = next((w for name, _, w in DEVICES if name.lower() in device.device_kind.lower()), UNKNOWN_WATTS)
    hosts = devices if device.platform != "cpu" else 1  # virtual CPU devices share one machine
    energy = PUE * watts * hosts * seconds / 3.6e6
    return {
        "energy_kwh": energy,
        "co2_kg": energy * KG_CO2_PER_KWH,
        "assumptions": f"{hosts} × {device.device_kind} at {watts:.0f} W"
        f"{' (assumed: the device is not in the table)' if watts == UNKNOWN_WATTS else ''} throughout, PUE {PUE} and "
        f"{KG_CO2_PER_KWH:.3f} kg CO₂ a kWh (U.S. average), after Strubell et al. 2019; FLOPs after Schwartz et al. "
        "2020. Not measured.",
    }
