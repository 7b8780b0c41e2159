"""Models that answer with a label, a number, tags or a span: each learns what can be learned, and loads again."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import linen as nn

import t2t
from t2t import families, folders, tasks
from t2t.attention import TransformerXL
from t2t.data import DataConfig, FunctionSource
from t2t.data.vocabulary import from_folder
from t2t.errors import ConfigError, DataError
from t2t.inference import LabelModel, evaluate
from t2t.models import ModelConfig, build, dummy_batch
from t2t.training import AdamW, RunConfig, ScheduleConfig, TrainConfig, train
from t2t.training.setup import find_tasks

ENCODER = ModelConfig(
    architecture="encoder",
    width=32,
    heads=2,
    mlp_width=64,
    encoder_layers=1,
    positions="learned",
    max_length=64,
    token_types=2,
    pooler="tanh",
    outputs=("sequence",),
    labels=0,
)
DECODER = {"architecture": "decoder", "encoder_layers": 0, "decoder_layers": 1, "token_types": 0, "pooled": "last"}
REMEMBERING = DECODER | {"positions": "none", "attention": TransformerXL(memory=8)}
BOTH = DECODER | {"architecture": "encoder-decoder", "encoder_layers": 1}
WORDS = ("red", "blue", "green", "salt", "milk", "bread", "one", "two", "six", "nine")


def run(path, output, steps=60, model=None, train_=None, **data):
    return RunConfig(
        data=DataConfig(
            **{"train": str(path), "validation": str(path), "vocabulary": "words:64"}
            | {"inputs_length": 32, "packing": False, "buckets": (16,)}
            | data
        ),
        model=dataclasses.replace(ENCODER, outputs=(output,), **(model or {})),
        train=TrainConfig(
            **dict(
                steps=steps,
                batch_size=16,
                optimizer=AdamW(),
                schedule=ScheduleConfig(decay="constant", peak=5e-3, warmup=5),
                eval_every=0,
                checkpoint_every=0,
            )
            | (train_ or {})
        ),
    )


def sentences(count=60, seed=0):
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(2, 8))) for _ in range(count)]


def write_table(path, target, pair=False):
    rows = [
        (text, *(["one" if i % 2 else "milk"] if pair else []), target(text, i)) for i, text in enumerate(sentences())
    ]
    header = ("inputs", *(["other"] if pair else []), "targets")
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in [header, *rows]), encoding="utf-8")
    return path


def finished(config, workdir):
    summary = train(config, workdir)
    model = t2t.load(workdir)
    assert isinstance(model, LabelModel)
    (task, _) = find_tasks(config)[0]
    again = evaluate(model, task)
    for name, value in again.metrics.items():
        assert value == pytest.approx(summary["evaluation"][f"{task.name}/{name}"], rel=1e-4, abs=1e-5)
    predictions = [json.loads(line) for line in (workdir / f"predictions/{task.name}.jsonl").read_text().splitlines()]
    if model.config.labels > 1:  # of numbers the last digit may differ
        assert predictions == again.predictions
    return summary["evaluation"], model, predictions


def test_labels_are_read_off_the_targets_and_learned(tmp_path):
    path = write_table(tmp_path / "t.tsv", lambda text, i: "colour" if text.split()[0] in WORDS[:3] else "thing")
    found, model, predictions = finished(run(path, "sequence"), tmp_path / "run")
    assert found["files/exact_match"] == 100.0
    assert found["files/label_accuracy"] == 100.0
    assert found["files/loss"] < 0.1
    assert model.labels == ("colour", "thing")
    assert model.config.labels == 2
    assert model.predict(["blue milk six", "milk blue six"]) == ["colour", "thing"]
    assert model.predict([p["inputs"] for p in predictions]) == [p["prediction"] for p in predictions]


@pytest.mark.parametrize(
    "model", [{}, DECODER, REMEMBERING, BOTH], ids=["encoder", "decoder", "memory", "encoder-decoder"]
)
def test_a_pair_of_texts_is_told_apart(tmp_path, model):
    path = write_table(tmp_path / "t.tsv", lambda text, i: i % 2, pair=True)
    found, model, _ = finished(run(path, "sequence", pair="other", model=model), tmp_path / "run")
    assert found["files/exact_match"] == 100.0
    assert model.predict([{"texts": ["red salt", "one"]}, {"texts": ["red salt", "milk"]}]) == ["1", "0"]


def test_a_number_is_learned_by_its_squared_error(tmp_path):
    path = write_table(tmp_path / "t.tsv", lambda text, i: text.split().count("red") + 0.5)
    config = run(path, "sequence", steps=150, model={"labels": 1})
    found, model, predictions = finished(config, tmp_path / "run")
    wanted, given = (np.array([float(p[name]) for p in predictions]) for name in ("target", "prediction"))
    assert found["files/loss"] == pytest.approx(np.mean((wanted - given) ** 2), rel=1e-3)
    assert found["files/loss"] < 0.1 * wanted.var()
    assert model.labels == ()


@pytest.mark.parametrize(
    ("model", "data"),
    [({}, {}), (DECODER, {}), ({}, {"inputs_length": 6, "stride": 2, "buckets": ()})],
    ids=["encoder", "decoder", "windows"],
)
def test_tags_are_learned_word_by_word(tmp_path, model, data):
    tag = {"red": "B-colour", "blue": "I-colour", "salt": "B-food"}
    lines = ["".join(f"{w}\t{tag.get(w, 'O')}\n" for w in text.split()) for text in sentences()]
    path = tmp_path / "t.conll"
    path.write_text("\n".join(lines), encoding="utf-8")
    config = run(path, "tagging", metrics=("entity_f1", "tag_accuracy"), model=model, **data)
    found, model, _ = finished(config, tmp_path / "run")
    assert found["files/entity_f1"] == 100.0
    assert found["files/tag_accuracy"] == found["files/label_accuracy"] == 100.0
    assert model.labels == ("B-colour", "B-food", "I-colour", "O")
    assert model.predict(["red blue two", "six salt"]) == ["B-colour I-colour O", "O B-food"]


def questions(path, count=60):
    """Contexts of numbers with one food and two colours in a row: one of the two is asked for."""
    generator, articles = np.random.default_rng(1), []
    for i in range(count):
        kind = ("food", "colour")[i % 2]
        answers = {"food": generator.choice(WORDS[3:6]), "colour": " ".join(generator.choice(WORDS[:3], 2))}
        context = " ".join(generator.permutation([*answers.values(), *generator.choice(WORDS[6:], 3)]))
        answer = {"text": str(answers[kind]), "answer_start": context.index(answers[kind])}
        articles.append({"paragraphs": [{"context": context, "qas": [{"question": kind, "answers": [answer]}]}]})
    path.write_text(json.dumps({"data": articles}, indent=1), encoding="utf-8")
    return path


def test_spans_are_found_in_their_contexts(tmp_path):
    path = questions(tmp_path / "q.json")
    found, model, predictions = finished(run(path, "spans", steps=100, format="squad"), tmp_path / "run")
    assert found["files/em"] == found["files/f1"] == 100.0
    context = "one salt six blue red nine"
    assert model.predict([{"question": "food", "context": context}]) == ["salt"]
    assert model.predict([f"question: colour context: {context}"]) == ["blue red"]
    assert model.predict([p["inputs"] for p in predictions]) == [p["prediction"] for p in predictions]


def test_spans_are_found_by_a_decoder_that_reads_what_its_encoder_does(tmp_path):
    config = run(questions(tmp_path / "q.json"), "spans", steps=160, format="squad", model=BOTH)
    found, model, predictions = finished(config, tmp_path / "run")
    assert found["files/f1"] > 95
    assert model.predict([p["inputs"] for p in predictions]) == [p["prediction"] for p in predictions]


def test_labels_of_a_registered_task_and_its_own_metrics(tmp_path):
    def rows():
        return [{"sentence": s, "label": int("red" in s.split()), "idx": i} for i, s in enumerate(sentences())]

    sst2 = tasks.get("glue_sst2_v002")
    task = dataclasses.replace(sst2, name="small_sst2", source=FunctionSource({"train": rows, "validation": rows}))
    tasks.register(task)
    try:
        config = run("", "sequence", steps=80, validation="")
        config = dataclasses.replace(config, task="small_sst2")
        found, model, _ = finished(config, tmp_path / "run")
    finally:
        tasks.unregister("small_sst2")
    assert model.labels == sst2.labels == ("negative", "positive")
    assert found["small_sst2/accuracy"] == 100.0


VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)


TINY = {"vocab_size": len(VOCABULARY), "width": 32, "heads": 2, "head_width": 16, "mlp_width": 64, "max_length": 32}
PUBLISHED = {  # a size, what is smaller of it here, and what its config.json says of ids
    "bert": ("bert_base", {"encoder_layers": 1}, {}),
    "gpt2": ("gpt2_small", {"decoder_layers": 1}, {"pad_token_id": 0}),
    "bart": ("bart_base", {"encoder_layers": 1, "decoder_layers": 1, "start_id": 3},
             {"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 3}),
}  # fmt: skip


def publish(folder, family):
    size, smaller, values = PUBLISHED[family]
    trunk = dataclasses.replace(families.get(size), **TINY | smaller)
    params = nn.meta.unbox(build(trunk).init(jax.random.key(3), dummy_batch(trunk))["params"])
    folders.save(folder, trunk, params, family=family, values=values)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    return folder


def headed(path, published):
    """A run that puts a head on a published trunk. What the folder says of the model holds; how it is trained and what
    is read off it is the run's."""
    model = ModelConfig(
        width=8, mlp_width=8, encoder_layers=3, decoder_layers=1, heads=1, outputs=("sequence",), labels=0
    )
    config = run(path, "sequence", steps=80, vocabulary="", pair="other")
    return dataclasses.replace(config, model=model, init_from=str(published))


@pytest.mark.parametrize("family", PUBLISHED)
def test_a_published_trunk_gets_a_head_and_goes_back_with_it(tmp_path, family):
    published = publish(tmp_path / "published", family)
    path = write_table(tmp_path / "t.tsv", lambda text, i: ("thing", "colour")[i % 2], pair=True)
    found, model, predictions = finished(headed(path, published), tmp_path / "run")
    assert found["files/exact_match"] == 100.0
    assert model.vocabulary.fingerprint() == from_folder(published).fingerprint()
    values = {"id2label": {str(i): label for i, label in enumerate(model.labels)}} | PUBLISHED[family][2]
    folders.save(tmp_path / "mine", model.config, model.params, family=family, values=values)
    model.vocabulary.save_files(tmp_path / "mine")
    mine, pairs = t2t.load(tmp_path / "mine"), [{"texts": ["red salt", last]} for last in ("one", "milk")]
    assert mine.predict(pairs) == model.predict(pairs) == ["colour", "thing"]
    # Arrays that are given as transformers takes them are read as the run read texts.
    frame = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")
    words = [[VOCABULARY.index(w) for w in text.split()] for text in ("red salt", "one", "milk milk")]
    rows = [[frame[0], *words[0], frame[1], *words[1], frame[1]], [frame[0], *words[0], frame[1], *words[2], frame[1]]]
    ids, mask = (np.array([[*row, *[0] * (7 - len(row))] for row in x]) for x in (rows, [[1] * len(r) for r in rows]))
    types = {"token_type_ids": np.array([[0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1, 1]])} if family == "bert" else {}
    given = mine(input_ids=ids, attention_mask=mask, **types).logits
    texts = [{"texts": ["red salt", last]} for last in ("one", "milk milk")]
    scored = [scores[0][0] for _, scores in model.answers(texts)]
    np.testing.assert_allclose(given, scored, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="one of sequence, tagging, spans, found the outputs .'vocabulary',"):
        t2t.load(published).predict(["red"])


def test_a_decoder_that_begins_with_what_was_read_last_learns_no_labels(tmp_path, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "mbart", ("mbart_large", PUBLISHED["bart"][1], PUBLISHED["bart"][2]))
    published = publish(tmp_path / "published", "mbart")
    path = write_table(tmp_path / "t.tsv", lambda text, i: i % 2, pair=True)
    with pytest.raises(ConfigError, match="the decoder of 'mbart' begins with the last token.*take a 'bart'"):
        train(headed(path, published), tmp_path / "run")
    with pytest.raises(DataError, match="mbart: its decoder begins with the last token.*give arrays"):
        t2t.load(published).predict(["red"])


def test_a_stopped_run_goes_on_with_the_labels_it_had(tmp_path):
    path = write_table(tmp_path / "t.tsv", lambda text, i: i % 3)
    config = run(path, "sequence", steps=4)
    train(config, tmp_path / "run")
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=6))
    assert train(longer, tmp_path / "run")["steps"] == 6
    assert t2t.load(tmp_path / "run").labels == ("0", "1", "2")


def test_mistakes_name_both_fields_and_the_way_out(tmp_path):
    path = write_table(tmp_path / "t.tsv", lambda text, i: i % 3)
    config = run(path, "sequence")
    for wrong, message in (
        ({"data": dataclasses.replace(config.data, packing=True, buckets=())}, "data.packing .* model.outputs"),
        ({"model": dataclasses.replace(config.model, labels=2)}, "model.labels is 2.*task 'files' has 3 labels"),
        ({"model": dataclasses.replace(config.model, outputs=("choice",))}, "the first of model.outputs.*choice"),
        (
            {"data": dataclasses.replace(config.data, objective="masked_lm", targets="inputs", packing=False)},
            "the objective 'masked_lm'.*model.outputs",
        ),
        (
            {
                "data": dataclasses.replace(config.data, labels=("0", "1")),
                "model": dataclasses.replace(config.model, outputs=("spans",)),
            },
            "data.labels are of model.outputs",
        ),
        ({"data": dataclasses.replace(config.data, labels=("0", "1"))}, "labels 0, 1, found the target '2'"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            train(dataclasses.replace(config, **wrong), tmp_path / "wrong")
    with pytest.raises(ConfigError, match="data.consecutive .* model.outputs .* set data.consecutive to False"):
        train(run(path, "sequence", model=REMEMBERING, consecutive=True, buckets=()), tmp_path / "wrong")
    decoder = dataclasses.replace(config.model, **DECODER | {"pooled": "first"})
    with pytest.raises(ConfigError, match="model.pooled 'first'.* set model.pooled to 'last'"):
        train(dataclasses.replace(config, model=decoder), tmp_path / "decoder")
    words = run(write_table(tmp_path / "w.tsv", lambda text, i: "x"), "sequence", model={"labels": 1})
    with pytest.raises(DataError, match="learns numbers, found the target 'x'"):
        train(words, tmp_path / "words")
