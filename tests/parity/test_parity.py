"""t2t equals Hugging Face's PyTorch models: logits, loss, every gradient, greedy and beam outputs token for token.

The golden files hold what the PyTorch models gave; where PyTorch is installed they are run again beside them.
"""

import importlib.util
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from reference import CASES, ROWS, batch, convert, inputs

from t2t.inference import DecodeConfig
from t2t.inference.programs import decode_batch
from t2t.layers import to_scanned
from t2t.models import build
from t2t.objectives import cross_entropy

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
LIVE = all(importlib.util.find_spec(m) for m in ("torch", "transformers"))


@pytest.fixture(
    scope="module",
    params=[
        "golden",
        pytest.param(
            "live",
            marks=pytest.mark.skipif(
                not LIVE, reason="PyTorch and transformers are not installed (make parity installs them)"
            ),
        ),
    ],
)
def results(request):
    """case → what the peer gave."""
    if request.param == "golden":
        return lambda case: dict(np.load(GOLDEN / f"{case}.npz"))
    import peer

    found: dict = {}
    return lambda case: found[case] if case in found else found.setdefault(case, peer.run(case))


def params_of(result, case):
    return convert(lambda name: result[f"tensor:{name}"], ROWS[case](CASES[case]), CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients(results, case):
    result, config, features = results(case), CASES[case], batch(case)
    params, model = params_of(result, case), build(CASES[case])

    def loss(params):
        logits = model.apply({"params": params}, features)
        total, sums = cross_entropy(logits, features["targets"], features["loss_weights"])
        return total / sums["weights"], logits

    (value, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    real = (inputs(case)["mask"] if config.architecture == "decoder" else inputs(case)["targets_mask"]) > 0
    scale = np.abs(result["logits"]).max()
    np.testing.assert_allclose(logits[real], result["logits"][real], atol=2e-5 * max(scale, 1.0), rtol=0)
    np.testing.assert_allclose(value, result["loss"], atol=2e-5, rtol=0)
    rows = [row for row in ROWS[case](config) if f"gradient:{row[1]}" in result]
    expected = convert(lambda name: result[f"gradient:{name}"], rows, config)
    assert (
        len(rows) >= len(ROWS[case](config)) - 1
    )  # Marian's bias on the logits is a buffer there, and has no gradient
    found = dict(jax.tree_util.tree_flatten_with_path(gradients)[0])
    for path, gradient in jax.tree_util.tree_flatten_with_path(expected)[0]:
        np.testing.assert_allclose(
            found[path],
            gradient,
            atol=2e-5 * max(1.0, np.abs(gradient).max()),
            rtol=0,
            err_msg=jax.tree_util.keystr(path),
        )


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_is_compared(case):
    config = CASES[case]
    features = {k: jnp.asarray(v) for k, v in batch(case).items()}
    shapes = jax.eval_shape(build(config).init, jax.random.key(0), features)["params"]
    ours = {
        "/".join(k.key for k in path if hasattr(k, "key"))
        for path, _ in jax.tree_util.tree_flatten_with_path(shapes)[0]
    }
    assert ours == {path for path, _, _ in ROWS[case](config)}


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
@pytest.mark.parametrize("case", CASES)
def test_greedy_and_beam_outputs(results, case, stacking):
    import dataclasses

    result, config = results(case), dataclasses.replace(CASES[case], stacking=stacking)
    params = params_of(result, case)
    params = to_scanned(params) if stacking == "scanned" else params
    if config.architecture == "decoder":
        prompts = {
            "decoder_inputs": result["prompts"].astype(np.int32),
            "decoder_segments": result["prompts_mask"].astype(np.int32),
        }
    else:
        prompts = {k: v for k, v in batch(case).items() if k.startswith("encoder")}
    for decode, expected in (
        (DecodeConfig(max_length=9), result["greedy"][:, None]),
        (DecodeConfig(method="beam", beams=4, length_penalty=0.0, max_length=9), result["beams"]),
    ):
        tokens, _ = decode_batch(params, prompts, jnp.arange(2), model=build(config), decode=decode, eos_id=1)
        np.testing.assert_array_equal(tokens, expected)
