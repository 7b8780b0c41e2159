"""t2t equals Hugging Face's PyTorch models: it reads their folders, and has their logits, loss, every gradient under
the tensors' names, greedy and beam outputs token for token; and they read its folders.

The golden folders are those that the PyTorch models wrote, with what they gave; where PyTorch is installed they are
made again.
"""

import importlib.util
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cases import CASES, ENCODERS, batch, inputs

from t2t import folders
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.models import build
from t2t.objectives import cross_entropy

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
LIVE = all(importlib.util.find_spec(m) for m in ("torch", "transformers"))
NEEDS_PYTORCH = pytest.mark.skipif(
    not LIVE, reason="PyTorch and transformers are not installed (make parity installs them)"
)


@pytest.fixture(scope="module", params=["golden", pytest.param("live", marks=NEEDS_PYTORCH)])
def folder_of(request, tmp_path_factory):
    """case → a folder that transformers wrote, with results.npz in it."""
    if request.param == "golden":
        return lambda case: GOLDEN / case
    import peer

    made: dict = {}

    def live(case):
        if case not in made:
            made[case] = tmp_path_factory.mktemp(case)
            peer.write(case, made[case])
        return made[case]

    return live


def results_of(folder):
    return dict(np.load(folder / "results.npz"))


def real(case, config):
    return inputs(case)["targets_mask" if config.architecture == "encoder-decoder" else "mask"] > 0


def assert_close(found, expected, what=""):
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(np.abs(expected).max(), 1.0), rtol=0, err_msg=what)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients(folder_of, case):
    folder = folder_of(case)
    result, loaded = results_of(folder), folders.load(folder)
    config, model = loaded.config, build(loaded.config)
    features = batch(case)

    def loss(params):
        logits = model.apply({"params": params}, features)
        total, sums = cross_entropy(logits, features["targets"], features["loss_weights"])
        return total / sums["weights"], logits

    (value, logits), gradients = jax.value_and_grad(loss, has_aux=True)(loaded.params)
    assert_close(logits[real(case, config)], result["logits"][real(case, config)])
    np.testing.assert_allclose(value, result["loss"], atol=2e-5, rtol=0)
    found = folders.named(config, gradients, loaded.family)
    expected = {name.removeprefix("gradient:"): g for name, g in result.items() if name.startswith("gradient:")}
    assert set(expected) == set(found) - {"final_logits_bias"}  # a buffer there, which has no gradient
    for name, gradient in expected.items():
        assert_close(found[name], gradient, name)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("case", [case for case in CASES if case not in ENCODERS])
def test_greedy_and_beam_outputs(folder_of, case, stacking):
    folder = folder_of(case)
    result, loaded = results_of(folder), folders.load(folder, stacking=stacking)
    if loaded.config.architecture == "decoder":
        prompts = {
            "decoder_inputs": result["prompts"].astype(np.int32),
            "decoder_segments": result["prompts_mask"].astype(np.int32),
        }
    else:
        prompts = {k: v for k, v in batch(case).items() if k.startswith("encoder")}
    model = build(loaded.config)
    for decode, expected in (
        (DecodeConfig(max_length=9), result["greedy"][:, None]),
        (DecodeConfig(method="beam", beams=4, length_penalty=0.0, max_length=9), result["beams"]),
    ):
        tokens, _ = decode_batch(loaded.params, prompts, jnp.arange(2), model=model, decode=decode, eos_id=1)
        np.testing.assert_array_equal(tokens, expected)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_what_was_loaded(case, stacking, tmp_path):
    theirs = folders.load(GOLDEN / case, stacking=stacking)
    folders.save(tmp_path, theirs.config, theirs.params, family=theirs.family.name, values=theirs.values)
    again = folders.load(tmp_path)
    first = folders.load(GOLDEN / case)
    assert again.config == first.config
    jax.tree.map(np.testing.assert_array_equal, again.params, first.params)


@NEEDS_PYTORCH
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_transformers_reads_what_is_saved_after_a_step(case, dtype, tmp_path):
    import peer

    loaded = folders.load(GOLDEN / case, stacking="scanned")
    moved = jax.tree.map(lambda p: (p + 0.01 * jnp.sin(p)).astype(dtype).astype(jnp.float32), loaded.params)
    folders.save(
        tmp_path, loaded.config, moved, family=loaded.family.name, values=loaded.values, dtype=dtype, shard_bytes=9_000
    )
    ours = build(loaded.config).apply({"params": moved}, batch(case))
    here = real(case, loaded.config)
    assert_close(np.asarray(ours)[here], peer.logits(tmp_path, case)[here])
