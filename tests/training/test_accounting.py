"""FLOPs against XLA's own count, and energy and CO₂ against the published formulas."""

import dataclasses
import types

import jax
import pytest

from t2t.attention import Dense, Sparse, causal, local
from t2t.layers.hashing import Hashing
from t2t.layers.molecules import Molecules
from t2t.layers.patches import Patches
from t2t.models import abstract_params, build, dummy_batch
from t2t.training.accounting import footprint, forward_flops, peak_flops, step_flops

from runs import MODEL  # isort: skip

WIDE = dataclasses.replace(MODEL, width=128, heads=4, head_width=32, mlp_width=256, vocab_size=512, dropout=0.0)
SHAPES = {
    "encoder": dataclasses.replace(WIDE, architecture="encoder", decoder_layers=0, encoder_layers=2),
    "decoder": dataclasses.replace(WIDE, architecture="decoder", encoder_layers=0, decoder_layers=3),
    "encoder-decoder": dataclasses.replace(WIDE, encoder_layers=2, decoder_layers=3),
    "convolution": dataclasses.replace(WIDE, architecture="encoder", decoder_layers=0, encoder_layers=1, convolution=5),
    "gated": dataclasses.replace(WIDE, gated=True, encoder_layers=1, decoder_layers=2),
}
PATCHES = Patches(image=(48, 64), patch=(16, 16))  # twelve, and the token in front
IMAGES = dataclasses.replace(
    WIDE, architecture="encoder", decoder_layers=0, encoder_layers=2, positions="learned", patches=PATCHES,
    max_length=PATCHES.length, outputs=("sequence",), heads=2, width=64,
)  # fmt: skip
READERS = {
    "images": IMAGES,
    "captions": dataclasses.replace(WIDE, encoder=dataclasses.replace(IMAGES, outputs=()), encoder_layers=0),
    "molecules": dataclasses.replace(
        WIDE, architecture="encoder", decoder_layers=0, encoder_layers=2, positions="learned", molecules=Molecules(),
        hashing=Hashing(), outputs=("tagging",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_other_inputs_cost_what_xla_counts(name):
    config = READERS[name]
    batch = dummy_batch(config, batch=4, length=64)
    params = jax.tree.map(lambda p: p.value, abstract_params(config), is_leaf=lambda x: hasattr(x, "names"))
    program = jax.jit(lambda p, b: build(config).apply({"params": p}, b)).lower(params, batch).compile()
    expected = step_flops(config, batch) / 3
    assert program.cost_analysis()["flops"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("name", SHAPES)
def test_a_forward_pass_costs_what_xla_counts(name):
    config = SHAPES[name]
    batch = {k: jax.numpy.zeros((4, 48 if k.startswith("encoder") else 32), "int32") for k in dummy_batch(config)}
    params = jax.tree.map(lambda p: p.value, abstract_params(config), is_leaf=lambda x: hasattr(x, "names"))
    program = jax.jit(lambda p, b: build(config).apply({"params": p}, b)).lower(params, batch).compile()
    counted = program.cost_analysis()["flops"]
    encoder = 48 if config.encoder_layers else 0
    expected = forward_flops(config, 4, encoder, 32 if config.decoder_layers else 0)
    assert counted == pytest.approx(expected, rel=0.1)  # XLA counts norms, softmax and activations too
    assert counted > expected
    assert step_flops(config, batch) == 3 * expected


def test_t5_smalls_step_is_about_six_flops_a_parameter_and_token():
    from t2t import families

    config = families.get("t5_small")
    forward = forward_flops(config, 8, 128, 32)
    assert 3 * forward == pytest.approx(201e9, rel=0.03)


def test_what_a_pattern_leaves_out_is_not_counted():
    sparse = dataclasses.replace(SHAPES["decoder"], attention=Sparse(pattern="local(8)"))
    dense = forward_flops(SHAPES["decoder"], 1, 0, 64)
    pairs = (causal() & local(8)).mask(64).sum()
    assert dense - forward_flops(sparse, 1, 0, 64) == 3 * 4 * 128 * (64 * 64 - pairs)
    turns = dataclasses.replace(SHAPES["decoder"], decoder_layers=4, attention=(Dense(), Sparse(pattern="local(8)")))
    whole = dataclasses.replace(turns, attention=Dense())
    assert forward_flops(whole, 1, 0, 64) - forward_flops(turns, 1, 0, 64) == 2 * 4 * 128 * (64 * 64 - pairs)


def device(kind, platform="gpu"):
    return types.SimpleNamespace(device_kind=kind, platform=platform)


def test_energy_is_power_times_time_times_pue_and_co2_follows():
    found = footprint(3600.0, device("NVIDIA H100 80GB HBM3"), 8)
    assert found["energy_kwh"] == pytest.approx(1.58 * 8 * 700 / 1000)
    assert found["co2_kg"] == pytest.approx(0.954 * 0.45359237 * found["energy_kwh"])
    assert "8 × NVIDIA H100 80GB HBM3 at 700 W" in found["assumptions"]
    assert "Not measured" in found["assumptions"]
    unknown = footprint(3600.0, device("cpu", "cpu"), 8)
    assert unknown["energy_kwh"] == pytest.approx(1.58 * 0.1)  # virtual devices of one machine
    assert "assumed" in unknown["assumptions"]


def test_peaks_are_known_by_the_names_devices_give_themselves():
    assert peak_flops(device("NVIDIA H200")) == 989e12
    assert peak_flops(device("TPU v4")) == 275e12
    assert peak_flops(device("TPU v5 lite")) == 197e12
    assert peak_flops(device("TPU v5p")) == 459e12
    assert peak_flops(device("cpu")) is None
