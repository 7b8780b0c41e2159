"""t2t equals Hugging Face's PyTorch models, called with the same arguments: it reads their folders, and has every
output, hidden state and loss, every gradient under the tensors' names, greedy and beam outputs token for token; and
they read its folders.

These are the tests of every kin of models; `test_parity_<kin>.py` runs them on its cases (see `conftest.py`). Outputs
are computed operation by operation, for these are what cases share; gradients, with the loss, by compiled programs.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, arguments
from folders_of import GOLDEN, is_compiled, stackings

from t2t import folders, pretrained
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch

__all__ = [
    "test_gradients",
    "test_greedy_and_beam_outputs",
    "test_outputs_and_hidden_states",
    "test_transformers_reads_what_is_saved_after_a_step",
    "test_what_is_saved_is_what_was_loaded",
]


def results_of(folder, kind):
    found = dict(np.load(folder / "results.npz"))
    return {name.removeprefix(f"{kind}:"): value for name, value in found.items() if name.startswith(f"{kind}:")}


def real(given, name, array, model):
    """The part of an array that is compared: that of real tokens, unless padding has the same states too."""
    decoded = name.startswith("decoder") or "decoder_input_ids" in given and not name.startswith("encoder")
    mask = given.get("decoder_attention_mask" if decoded else "attention_mask")
    same = model.config.architecture == "encoder" and model.family.calls.padding_sees
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


def test_outputs_and_hidden_states(folder_of, name, stacking):
    folder, given = folder_of(name), arguments(name)
    model = pretrained.load(folder, stacking=stacking)
    with jax.disable_jit():
        found = model(**given, output_hidden_states=True)
    assert_same(numbered(found), results_of(folder, "output"), given, model)


def test_gradients(folder_of, name):
    folder = folder_of(name)
    expected = results_of(folder, "gradient")
    if not expected:
        pytest.skip("states alone have no loss")
    model = pretrained.load(folder, stacking=stackings(CASES[name])[-1])
    with jax.disable_jit(not is_compiled(CASES[name])):
        loss, found = model.loss_and_gradients(**arguments(name))
    np.testing.assert_allclose(loss, results_of(folder, "output")["loss"], atol=2e-5, rtol=1e-5)
    buffers = set(np.load(folder / "results.npz")["untrained"])
    dead = {tensor for tensor in set(expected) - set(found) if not expected[tensor].any()}  # BigBird's unused poolers
    assert set(found) - buffers == set(expected) - dead
    for tensor in set(expected) - dead:
        assert_close(found[tensor], expected[tensor], tensor)


def test_greedy_and_beam_outputs(folder_of, generating):
    name = generating
    folder = folder_of(name)
    result, model = dict(np.load(folder / "results.npz")), pretrained.load(folder, stacking=stackings(CASES[name])[-1])
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


def test_what_is_saved_is_what_was_loaded(name, stacking, tmp_path):
    model = pretrained.load(GOLDEN / name, stacking=stacking)
    pretrained.save(model, tmp_path)
    again, first = folders.load(tmp_path), folders.load(GOLDEN / name)
    assert again.config == first.config
    jax.tree.map(np.testing.assert_array_equal, again.params, first.params)


@pytest.mark.pytorch
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_reads_what_is_saved_after_a_step(name, dtype, tmp_path):
    import peer

    model, given = pretrained.load(GOLDEN / name, stacking=stackings(CASES[name])[-1]), arguments(name)
    moved = jax.tree.map(lambda p: _rounded(p + 0.01 * np.sin(p), dtype, p), model.params)
    model = dataclasses.replace(model, params=moved)
    pretrained.save(model, tmp_path, dtype=dtype, shard_bytes=9_000)
    expected = {key.removeprefix("output:"): value for key, value in peer.read(tmp_path, name).items()}
    with jax.disable_jit():
        found = model(**given, output_hidden_states=True)
    assert_same(numbered(found), expected, given, model)


def _rounded(parameter, dtype, like):
    """A parameter as a file of this dtype holds it, put where the loaded one is."""
    return jax.device_put(np.asarray(parameter, np.float32).astype(jnp.dtype(dtype)).astype(np.float32), like.sharding)
