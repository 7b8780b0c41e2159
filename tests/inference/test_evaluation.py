"""Evaluation: every example counts once, on one device or on eight; predictions stand beside what was asked."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
from decoding_toys import tiny

from t2t.data import ByteVocabulary, FunctionSource
from t2t.errors import DataError
from t2t.inference import DecodeConfig, TextModel, evaluate
from t2t.inference.evaluation import token_metrics
from t2t.tasks import Task

ROWS = [{"inputs": "x" * (i % 9), "targets": "yz"[: i % 3] + str(i)} for i in range(13)]


def length_gap(targets, predictions):
    """A metric of this test's own, over what `postprocess` makes."""
    return {"gap": float(np.mean([abs(t - p) for t, p in zip(targets, predictions)])), "seen": float(len(targets))}


def task(**changes) -> Task:
    return Task(
        **{
            "name": "toy",
            "metrics": ("accuracy", length_gap),
            "source": FunctionSource({"validation": lambda: ROWS, "test": lambda: ROWS[:5]}),
            "postprocess": lambda text, example, is_target: len(text),
            **changes,
        }
    )


@pytest.fixture(scope="module")
def model() -> TextModel:
    config, _, params = tiny("t5", vocab_size=384, seed=2)
    return TextModel(
        config=config,
        params=params,
        vocabulary=ByteVocabulary(),
        inputs_length=16,
        targets_length=8,
        decode=DecodeConfig(max_length=4),
        batch_size=8,
    )


def test_all_examples_count_once_though_the_last_batch_is_padded(model):
    """13 examples in batches of 8: the loss is that of the sum over all tokens, each pair scored by itself."""
    found = evaluate(model, task())
    scores = [model.score([r["inputs"]], [r["targets"]], per_token=True)[0] for r in ROWS]
    tokens = np.concatenate(scores)
    assert len(tokens) == sum(len(r["targets"]) + 1 for r in ROWS)
    assert found.examples == 13
    assert found.metrics["seen"] == 13
    assert found.metrics["loss"] == pytest.approx(-tokens.mean(), rel=1e-5)
    assert found.metrics["perplexity"] == pytest.approx(math.exp(-tokens.mean()), rel=1e-5)
    answers = model.generate([r["inputs"] for r in ROWS])
    assert [p["prediction"] for p in found.predictions] == answers
    assert found.metrics["gap"] == pytest.approx(
        np.mean([abs(len(a) - len(r["targets"])) for a, r in zip(answers, ROWS)])
    )


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_the_batch_size_does_not_matter(model, batch_size):
    expected, found = evaluate(model, task()), evaluate(dataclasses.replace(model, batch_size=batch_size), task())
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-5)
    assert found.predictions == expected.predictions


def test_token_metrics_are_over_tokens_not_over_rows():
    scored = [(np.log([0.5, 0.25]), np.array([True, False])), (np.log([0.125] * 4), np.array([True] * 4))]
    found = token_metrics(scored)
    assert found["loss"] == pytest.approx(math.log(2) * (1 + 2 + 4 * 3) / 6)
    assert found["perplexity"] == pytest.approx(2 ** (15 / 6))
    assert found["token_accuracy"] == pytest.approx(100 * 5 / 6)


def test_what_greedy_decoding_says_is_all_right(model):
    """Its tokens are the likeliest ones, teacher-forced; with one of them changed, that one is not."""
    examples = [{"inputs": np.array([5, 9, i, 1], np.int32), "targets": np.zeros(0, np.int32)} for i in range(40, 50)]
    for e, (tokens, _) in zip(examples, model.decode_examples(examples, DecodeConfig(max_length=4))):
        e["targets"] = tokens[0][: int(np.argmax(tokens[0] == 1)) + 1] if 1 in tokens[0] else tokens[0]
    assert all(right.all() for _, right in model.score_examples(examples))
    examples[3]["targets"] = np.array([*examples[3]["targets"][:-1], 300], np.int32)
    right = [right for _, right in model.score_examples(examples)]
    assert not right[3][-1]
    assert all(r.all() for i, r in enumerate(right) if i != 3)


def test_predictions_stand_beside_what_was_asked(model, tmp_path):
    found = evaluate(model, task())
    found.write(tmp_path, step=7)
    result = json.loads((tmp_path / "eval" / "toy.json").read_text(encoding="utf-8"))
    assert result == {"task": "toy", "split": "validation", "step": 7, "examples": 13, **found.metrics}
    lines = (tmp_path / "predictions" / "toy.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == found.predictions
    assert [(p["inputs"], p["target"]) for p in found.predictions] == [(r["inputs"], r["targets"]) for r in ROWS]


def test_splits_limits_and_ways_of_decoding(model):
    assert evaluate(model, task(), "test").examples == 5
    limited = evaluate(model, task(), limit=3)
    assert [p["target"] for p in limited.predictions] == [r["targets"] for r in ROWS[:3]]
    beams = evaluate(model, task(), decode=DecodeConfig(method="beam", beams=3, max_length=4))
    assert [p["prediction"] for p in beams.predictions] == model.generate([r["inputs"] for r in ROWS], beams=3)


def test_a_task_without_metrics_is_not_generated(model):
    found = evaluate(model, task(metrics=()))
    assert found.predictions == []
    assert set(found.metrics) == {"loss", "perplexity", "token_accuracy"}


def test_targets_beyond_the_limit_are_counted_aloud(model):
    said = []
    rows = [{"inputs": "a", "targets": "b" * 20}, {"inputs": "a", "targets": "b"}]
    evaluate(
        dataclasses.replace(model, report=said.append),
        task(source=FunctionSource({"validation": lambda: rows}), metrics=()),
    )
    assert said == ["1 examples are longer than 16 (inputs) or 8 (targets) tokens and were cut."]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: evaluate(m, task(), "tset"), r"Task 'toy': Unknown split 'tset'\. Did you mean 'test'"),
        (
            lambda m: evaluate(m, task(source=FunctionSource({"validation": lambda: []}))),
            r"The split 'validation' is empty",
        ),
        (
            lambda m: evaluate(m, task(preprocessors=(lambda example: None,))),
            r"no example is left after the preprocessors",
        ),
    ],
)
def test_errors(model, call, message):
    with pytest.raises(DataError, match=message):
        call(model)


@pytest.mark.parametrize("sizes", [{}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_over_eight_devices_it_is_the_same(model, sizes):
    from flax import linen as nn

    from t2t.models import abstract_params
    from t2t.training.config import MeshConfig
    from t2t.training.sharding import make_mesh, param_shardings, place_whole

    if jax.device_count() != 8:
        pytest.skip(f"needs 8 virtual devices, found {jax.device_count()}")
    mesh = make_mesh(MeshConfig(**sizes))
    shardings = param_shardings(mesh, abstract_params(model.config))
    params = jax.device_put(nn.meta.unbox(model.params), shardings)
    sharded = dataclasses.replace(model, params=params, place=lambda batch: place_whole(mesh, batch))
    beams = DecodeConfig(method="beam", beams=2, max_length=4)
    expected, found = evaluate(model, task(), decode=beams), evaluate(sharded, task(), decode=beams)
    assert found.predictions == expected.predictions
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-4)
