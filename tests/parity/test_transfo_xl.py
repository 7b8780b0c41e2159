"""Transformer-XL equals that of transformers 4.35.2 over two segments with a memory between them: every output, hidden
state, mem, loss and gradient, what it generates, and the folders both ways."""

import dataclasses
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import transfo_xl_peer as transfo_xl

from t2t import folders, pretrained
from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch

NEEDS_PYTORCH = pytest.mark.skipif(not transfo_xl.LIVE, reason="transformers 4.35.2 and PyTorch are not here")
EVERY = [pytest.param(case, "golden", id=f"{case}-golden") for case in transfo_xl.KEPT] + [
    pytest.param(case, "live", id=f"{case}-live", marks=NEEDS_PYTORCH) for case in transfo_xl.CASES
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """(case, way) → a folder with results.npz in it."""
    made: dict = {}

    def live(case, way):
        if way == "golden":
            return transfo_xl.GOLDEN / case
        if case not in made:
            made[case] = tmp_path_factory.mktemp(case)
            transfo_xl.write(case, made[case])
        return made[case]

    return live


def results_of(folder, kind):
    found = dict(np.load(folder / "results.npz"))
    return {name.removeprefix(f"{kind}:"): value for name, value in found.items() if name.startswith(f"{kind}:")}


def assert_close(found, expected, what=""):
    assert np.shape(found) == np.shape(expected), what
    scale = max(np.abs(expected).max(initial=0.0), 1.0)
    np.testing.assert_allclose(found, expected, atol=2e-5 * scale, rtol=0, err_msg=what)


def assert_segments(model, case, expected):
    mems = None
    for given, wanted in zip(transfo_xl.arguments(case), expected):
        found = model(**{n: v for n, v in given.items() if n != "labels"}, mems=mems, output_hidden_states=True)
        mems = found.get("mems")
        for name, value in wanted.items():
            name, *number = name.split(":")
            assert_close(found[name][int(number[0])] if number else found[name], value, name)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize(("case", "way"), EVERY)
def test_two_segments(folder_of, case, way, stacking):
    folder = folder_of(case, way)
    model = pretrained.load(folder, stacking=stacking)
    assert_segments(model, case, [results_of(folder, "0"), results_of(folder, "1")])


@pytest.mark.parametrize(("case", "way"), EVERY)
def test_gradients(folder_of, case, way):
    folder = folder_of(case, way)
    expected = results_of(folder, "gradient")
    if not expected:
        pytest.skip("states alone have no loss")
    model, (first, second) = pretrained.load(folder), transfo_xl.arguments(case)
    mems = model(input_ids=first["input_ids"]).get("mems")
    loss, found = model.loss_and_gradients(**second, mems=mems)
    np.testing.assert_allclose(loss, np.load(folder / "results.npz")["loss"], atol=2e-5, rtol=1e-5)
    assert set(found) == set(expected)
    for tensor, gradient in expected.items():
        assert_close(found[tensor], gradient, tensor)


@pytest.mark.parametrize(("case", "way"), [p for p in EVERY if transfo_xl.CASES[p.values[0]][0] == transfo_xl.LM])
def test_greedy_and_beam_outputs(folder_of, case, way):
    folder = folder_of(case, way)
    model, result = pretrained.load(folder, stacking="scanned"), np.load(folder / "results.npz")
    tokens = transfo_xl.arguments(case)[0]["input_ids"][:, :5].astype(np.int32)
    prompts = {"decoder_inputs": tokens, "decoder_segments": np.ones_like(tokens)}
    for decode, expected in (
        (DecodeConfig(max_length=6), result["greedy"][:, None]),
        (DecodeConfig(method="beam", beams=3, length_penalty=0.0, max_length=6), result["beams"]),
    ):
        words = {"num_beams": 3, "num_return_sequences": 3, "length_penalty": 0.0} if decode.method == "beam" else {}
        ids = model.generate_ids(input_ids=tokens, max_new_tokens=6, eos_token_id=-1, pad_token_id=0, **words)
        np.testing.assert_array_equal(ids[:, 5:], expected.reshape(-1, 6))
        found, _ = decode_batch(model.params, prompts, jnp.arange(2), model=model.module, decode=decode, eos_id=-1)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize(("case", "way"), EVERY)
def test_what_is_saved_is_what_was_loaded(folder_of, case, way, stacking, tmp_path):
    folder = folder_of(case, way)
    pretrained.save(pretrained.load(folder, stacking=stacking), tmp_path)
    again, first = folders.load(tmp_path), folders.load(folder)
    assert again.config == first.config
    jax.tree.map(np.testing.assert_array_equal, again.params, first.params)


@NEEDS_PYTORCH
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", transfo_xl.CASES)
def test_transformers_reads_what_is_saved_after_a_step(folder_of, case, dtype, tmp_path):
    model = pretrained.load(folder_of(case, "live"), stacking="scanned")
    moved = jax.tree.map(lambda p: (p + 0.01 * jnp.sin(p)).astype(dtype).astype(jnp.float32), model.params)
    model = dataclasses.replace(model, params=moved)
    pretrained.save(model, tmp_path, dtype=dtype)
    assert_segments(model, case, transfo_xl.read(tmp_path, case))
