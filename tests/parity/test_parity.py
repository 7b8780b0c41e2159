"""t2t equals Hugging Face's PyTorch models, called with the same arguments: it reads their folders, and has every
output, hidden state and loss, every gradient under the tensors' names, greedy and beam outputs token for token; and
they read its folders.

The golden folders are those that the PyTorch models wrote, with what they gave; where PyTorch is installed they are
made again.
"""

import dataclasses
import importlib.util
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cases import CASES, arguments

from t2t import folders, pretrained
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.models import build

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
LIVE = all(importlib.util.find_spec(m) for m in ("torch", "transformers"))
NEEDS_PYTORCH = pytest.mark.skipif(
    not LIVE, reason="PyTorch and transformers are not installed (make parity installs them)"
)
GENERATING = [name for name, case in CASES.items() if case.generates]


@pytest.fixture(scope="module", params=["golden", pytest.param("live", marks=NEEDS_PYTORCH)])
def folder_of(request, tmp_path_factory):
    """case → a folder that transformers wrote, with results.npz in it."""
    if request.param == "golden":
        return lambda name: GOLDEN / name
    import peer

    made: dict = {}

    def live(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            peer.write(name, made[name])
        return made[name]

    return live


def results_of(folder, kind):
    found = dict(np.load(folder / "results.npz"))
    return {name.removeprefix(f"{kind}:"): value for name, value in found.items() if name.startswith(f"{kind}:")}


def real(given, name, array, model):
    """The part of an array that is compared: that of real tokens, unless padding has the same states too."""
    decoded = name.startswith("decoder") or "decoder_input_ids" in given and not name.startswith("encoder")
    mask = given.get("decoder_attention_mask" if decoded else "attention_mask")
    same = model.config.architecture == "encoder" and model.family.padding_sees
    if mask is None or same or array.shape[:2] != mask.shape:
        return array
    return array[mask > 0]


def numbered(result):
    """The arrays of a result, those of tuples with their numbers."""
    found = {}
    for name, value in result.items():
        many = isinstance(value, (tuple, list))
        found |= {f"{name}:{i}": v for i, v in enumerate(value)} if many else {name: value}
    return {name: np.asarray(value) for name, value in found.items()}


def assert_close(found, expected, what=""):
    assert np.shape(found) == np.shape(expected), what
    scale = max(np.abs(expected).max(initial=0.0), 1.0)
    np.testing.assert_allclose(found, expected, atol=2e-5 * scale, rtol=0, err_msg=what)


def assert_same(found, expected, given, model):
    for name, array in expected.items():
        assert name in found, f"{name} is not among {sorted(found)}"
        array = unpadded(array, found[name])
        assert_close(real(given, name, found[name], model), real(given, name, array, model), name)


def unpadded(expected, found):
    """Hidden states without the padding to whole blocks that some models leave on them (BigBird)."""
    longer = expected.ndim == np.ndim(found) == 3 and expected.shape[1] > found.shape[1]
    return expected[:, : found.shape[1]] if longer else expected


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_hidden_states(folder_of, name, stacking):
    folder, given = folder_of(name), arguments(name)
    model = load(folder, stacking)
    found = model(**given, output_hidden_states=True)
    assert_same(numbered(found), results_of(folder, "output"), given, model)


@pytest.mark.parametrize("name", CASES)
def test_gradients(folder_of, name):
    folder = folder_of(name)
    expected = results_of(folder, "gradient")
    if not expected:
        pytest.skip("states alone have no loss")
    loss, found = pretrained.load(folder).loss_and_gradients(**arguments(name))
    np.testing.assert_allclose(loss, results_of(folder, "output")["loss"], atol=2e-5, rtol=1e-5)
    buffers = set(np.load(folder / "results.npz")["untrained"])
    dead = {tensor for tensor in set(expected) - set(found) if not expected[tensor].any()}  # BigBird's unused poolers
    assert set(found) - buffers == set(expected) - dead
    for tensor in set(expected) - dead:
        assert_close(found[tensor], expected[tensor], tensor)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("name", GENERATING)
def test_greedy_and_beam_outputs(folder_of, name, stacking):
    folder = folder_of(name)
    result, model = dict(np.load(folder / "results.npz")), load(folder, stacking)
    if model.config.architecture == "decoder":
        prompts = {"decoder_inputs": result["prompts"], "decoder_segments": result["prompts_mask"]}
    else:
        given = arguments(name)
        if "pixel_values" in given:
            prompts = {"encoder_pixels": np.moveaxis(given["pixel_values"], 1, -1)}
        else:
            prompts = {"encoder_inputs": given["input_ids"], "encoder_segments": given["attention_mask"]}
    for decode, expected in (
        (DecodeConfig(max_length=9), result["greedy"][:, None]),
        (DecodeConfig(method="beam", beams=4, length_penalty=0.0, max_length=9), result["beams"]),
    ):
        tokens, _ = decode_batch(model.params, prompts, jnp.arange(2), model=model.module, decode=decode, eos_id=1)
        np.testing.assert_array_equal(tokens, expected)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_saved_is_what_was_loaded(name, stacking, tmp_path):
    model = load(GOLDEN / name, stacking)
    pretrained.save(model, tmp_path)
    again, first = folders.load(tmp_path), folders.load(GOLDEN / name)
    assert again.config == first.config
    jax.tree.map(np.testing.assert_array_equal, again.params, first.params)


@NEEDS_PYTORCH
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_transformers_reads_what_is_saved_after_a_step(name, dtype, tmp_path):
    import peer

    model, given = load(GOLDEN / name, "scanned"), arguments(name)
    moved = jax.tree.map(lambda p: (p + 0.01 * jnp.sin(p)).astype(dtype).astype(jnp.float32), model.params)
    model = dataclasses.replace(model, params=moved)
    pretrained.save(model, tmp_path, dtype=dtype, shard_bytes=9_000)
    expected = {key.removeprefix("output:"): value for key, value in peer.read(tmp_path, name).items()}
    assert_same(numbered(model(**given)), expected, given, model)


def load(folder, stacking):
    """The model, its layers unrolled where they share several sets of parameters."""
    model = pretrained.load(folder)
    if len(set(model.config.sharing)) > 1:
        return model
    return pretrained.load(folder, stacking=stacking)


def test_every_module_is_the_one_that_trains():
    """What is called under transformers' names is the module that `build` makes of the config."""
    model = pretrained.load(GOLDEN / "bert")
    assert model.module == build(model.config)
