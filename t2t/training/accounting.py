"""What a run costs: FLOPs, how much of the peak they are, and an estimate of energy and CO₂.

FLOPs count matrix products alone, a multiplication and an addition each, three times the forward pass for a training
step (Kaplan et al. 2020, appendix B; recomputation by remat is not counted).
"""

import dataclasses
from typing import Any

import jax

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


@dataclasses.dataclass(frozen=True)
class Cost:
    """FLOPs of one forward pass: so many for each token of a side, and for each pair of tokens that may meet."""

    encoder_token: float
    decoder_token: float
    encoder_pair: float
    decoder_pair: float
    cross_pair: float
    cross_encoder_token: float  # the keys and values that cross-attention makes of the encoder's output

    def forward(self, batch: int, encoder_length: int, decoder_length: int) -> float:
        """FLOPs of a batch of rows of these lengths, padding included: what the devices compute."""
        n, m = encoder_length, decoder_length
        return batch * (
            self.encoder_token * n
            + self.decoder_token * m
            + self.encoder_pair * n * n
            + self.decoder_pair * m * m
            + self.cross_pair * n * m
            + self.cross_encoder_token * n
        )


def cost(config: ModelConfig) -> Cost:
    """The cost of a model."""
    d, inner, f, v = config.width, config.heads * config.head_width, config.mlp_width, config.vocab_size
    feed_forward = 2 * d * f * (3 if config.gated else 2)
    self_attention, pair = 2 * 4 * d * inner, 2 * 2 * inner
    encoders, decoders = config.encoder_layers, config.decoder_layers
    cross = decoders if config.architecture == "encoder-decoder" else 0
    logits = 2 * d * v
    return Cost(
        encoder_token=encoders * (self_attention + feed_forward) + (logits if config.architecture == "encoder" else 0),
        decoder_token=decoders * (self_attention + feed_forward)
        + cross * 2 * 2 * d * inner
        + (logits if decoders else 0),
        encoder_pair=encoders * pair,
        decoder_pair=decoders * pair,
        cross_pair=cross * pair,
        cross_encoder_token=cross * 2 * 2 * d * inner,
    )


def step_flops(config: ModelConfig, batch: dict[str, Any]) -> float:
    """FLOPs of a training step on a (global) batch of these shapes."""
    side = {s: batch[f"{s}_inputs"].shape if f"{s}_inputs" in batch else (0, 0) for s in ("encoder", "decoder")}
    rows = max(side["encoder"][0], side["decoder"][0])
    return 3.0 * cost(config).forward(rows, side["encoder"][1], side["decoder"][1])


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
