"""Training by consecutive segments with a memory: the steps, the runs, and the evaluation."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import params_of
from runs import MODEL, run_config

from t2t.attention import Compressive, Dense, TransformerXL
from t2t.checkpoints import steps
from t2t.data.consecutive import Rows, SegmentConverter
from t2t.errors import ConfigError, DataError
from t2t.inference import DecodeConfig, TextModel, evaluate
from t2t.models import build, init_memory
from t2t.tasks import from_files
from t2t.training import Interrupted, TrainConfig, train
from t2t.training.distributed import Interruption
from t2t.training.reporting import read_metrics
from t2t.training.step import make_train_step, new_state

XL = TransformerXL(memory=16)
DECODER = dataclasses.replace(
    MODEL, architecture="decoder", encoder_layers=0, decoder_layers=2, positions="none", attention=XL, dropout=0.0
)
SEGMENT = 8
CONFIG = TrainConfig(clip_norm=0.0, batch_size=4)


def segments(length=SEGMENT, count=3, rows=4):
    """Consecutive batches of documents of which each fits into the memory, and the same tokens in one batch."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(3, 380, n).astype(np.int32) for n in generator.integers(4, 16, 40)]
    stream = iter(enumerate(documents))
    converter = SegmentConverter(length=length)
    reader = Rows(converter, lambda: next(stream), [(-1, 0)] * rows, documents.__getitem__)
    batches = [converter(reader.next(), (length,)) for _ in range(count)]
    return batches, {name: np.concatenate([b[name] for b in batches], axis=1) for name in batches[0]}


def run_steps(config, model, batches, rate=0.0, memory=True):
    transform = optax.sgd(rate)
    function = jax.jit(make_train_step(build(model), transform, lambda step: jnp.float32(rate), config))
    state = new_state(params_of(model, 0.3), transform, init_memory(model, 4) if memory else None)
    found = []
    for batch in batches:
        state, metrics = function(state, batch)
        found.append(metrics)
    return state, found


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_segments_with_a_memory_have_the_loss_of_one_long_pass(stacking):
    model = dataclasses.replace(DECODER, stacking=stacking)
    batches, whole = segments()
    _, parts = run_steps(CONFIG, model, batches)
    _, (once,) = run_steps(CONFIG, model, [whole], memory=False)
    np.testing.assert_allclose(np.mean([m["loss"] for m in parts]), once["loss"], rtol=1e-5)
    _, alone = run_steps(CONFIG, model, batches, memory=False)
    assert abs(np.mean([m["loss"] for m in alone]) - once["loss"]) > 1e-3


@pytest.mark.parametrize(
    ("attention", "stacking"),
    [(XL, "scanned"), (Compressive(memory=8, compressed=4, rate=2), "unrolled"), ((XL, Dense()), "scanned")],
    ids=["transformer_xl", "compressive", "both"],
)
def test_microbatches_make_the_steps_of_whole_batches(attention, stacking):
    model = dataclasses.replace(DECODER, attention=attention, stacking=stacking)
    batches = segments()[0]
    whole, of_whole = run_steps(CONFIG, model, batches, rate=0.1)
    split, of_split = run_steps(dataclasses.replace(CONFIG, microbatches=2), model, batches, rate=0.1)
    for a, b in zip(of_whole, of_split):
        np.testing.assert_allclose(a["objective"], b["objective"], rtol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (whole.params, whole.memory),
        (split.params, split.memory),
    )
    if attention is not XL and not isinstance(attention, tuple):  # what compression learns from is in the objective
        assert float(of_whole[-1]["objective"]) > float(of_whole[-1]["loss"]) + 1e-3


def test_a_step_that_is_not_finite_leaves_an_empty_memory():
    batches = segments()[0]
    bad = {**batches[1], "loss_weights": batches[1]["loss_weights"] * np.float32(1e38)}
    state, metrics = run_steps(CONFIG, DECODER, [batches[0], bad])
    assert int(metrics[1]["skipped"]) == 1
    jax.tree.map(lambda x: np.testing.assert_array_equal(x, 0), state.memory)
    assert np.abs(run_steps(CONFIG, DECODER, batches[:2])[0].memory.layers[0].attention.hidden).max() > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memory")


def text_config(folder, data=None, **train):
    path = folder / "text.txt"
    if not path.is_file():
        generator = np.random.default_rng(1)
        words = ["".join(chr(97 + c) for c in generator.integers(0, 26, 4)) for _ in range(30)]
        path.write_text("".join(" ".join(generator.choice(words, 6)) + "\n" for _ in range(60)), encoding="utf-8")
    text = {"train": str(path), "objective": "causal_lm", "packing": False, "consecutive": True}
    config = run_config(folder, {**text, "inputs_length": SEGMENT, "targets_length": SEGMENT} | (data or {}), **train)
    return dataclasses.replace(config, model=DECODER)


def losses(workdir):
    return [line["loss"] for line in read_metrics(workdir) if "loss" in line]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(folder, monkeypatch):
    config = text_config(folder, {"shards": 2}, steps=9)
    config = dataclasses.replace(config, model=dataclasses.replace(DECODER, dropout=0.1))
    whole, parts = folder / "whole", folder / "parts"
    summary = train(config, whole)
    monkeypatch.setattr(Interruption, "noticed", lambda self, now: 15 if now == 4 else None)
    with pytest.raises(Interrupted):
        train(config, parts)
    assert steps(parts / "checkpoints") == [4]
    monkeypatch.undo()
    again = train(config, parts)
    assert losses(whole) == losses(parts)
    assert again["evaluation"] == summary["evaluation"]
    assert again["evaluation"]["files/bits_per_byte"] > 0
    for a, b in zip(*(jax.tree.leaves(TextModel.load(w).params) for w in (whole, parts))):
        np.testing.assert_array_equal(a, b)


def test_evaluation_reads_documents_with_the_memory_it_is_given(folder):
    config = text_config(folder, steps=3)
    workdir = folder / "evaluated"
    train(config, workdir)
    task = from_files(config.data)
    whole = TransformerXL(memory=400)
    model = TextModel.load(workdir, decode=DecodeConfig(attention=whole), batch_size=2)
    assert model.consecutive
    found = evaluate(model, task)
    assert found.examples == 2
    documents, size = task.evaluation_documents("validation", model.vocabulary, stretches=2)
    logp = []
    for document in documents:  # in one pass each
        inputs = np.concatenate([[0], document[:-1]])[None]
        out = build(config.model).apply({"params": model.params}, {"decoder_inputs": inputs})
        logp.append(np.take_along_axis(np.asarray(jax.nn.log_softmax(out))[0], document[:, None], axis=1).sum())
    np.testing.assert_allclose(found.metrics["bits_per_byte"], -sum(logp) / np.log(2) / size, rtol=1e-5)
    short = evaluate(TextModel.load(workdir, batch_size=2), task).metrics["bits_per_byte"]
    assert abs(short - found.metrics["bits_per_byte"]) > 1e-6
    assert evaluate(model, task, limit=2).metrics["bits_per_byte"] != found.metrics["bits_per_byte"]
    assert json.loads((workdir / "eval" / "files.json").read_text(encoding="utf-8"))["bits_per_byte"] > 0
    assert isinstance(model.generate(["abcd"], max_length=4)[0], str)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"consecutive": False}}, "TransformerXL remembers the segments before.*set data.consecutive to True"),
        (
            {"model": {"architecture": "encoder-decoder", "encoder_layers": 1, "decoder_attention": XL,
                       "attention": Dense()}},
            "of decoders alone, found model.architecture 'encoder-decoder' with TransformerXL: set its memory to 0",
        ),
        (
            {"decode": {"attention": TransformerXL(memory=4, relative=False)}},
            "decode.attention: expected a mechanism with the parameters of model.attention",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(folder, tmp_path, change, message):
    config = text_config(folder)
    parts = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in change.items()}
    with pytest.raises(ConfigError, match=message):
        train(dataclasses.replace(config, **parts), tmp_path)


def test_consecutive_segments_are_of_plain_text(folder, tmp_path):
    config = text_config(folder, {"objective": "prefix_lm"})
    with pytest.raises(DataError, match="with the objective 'causal_lm', found 'prefix_lm'. Set data.objective"):
        train(config, tmp_path)
