"""T5's tasks read from TFDS: from tiny data sets made here in its format, and a clear word where there are none."""

import numpy as np
import pytest
from tfds_folder import prepare

from t2t import tasks
from t2t.data import ByteVocabulary
from t2t.data.sources import TfdsSource
from t2t.errors import DataError

VOCABULARY = ByteVocabulary()
LENGTHS = (512, 114)


def of_text(*names, **others):
    return lambda tfds: tfds.features.FeaturesDict(
        {**{n: tfds.features.Text() for n in names}, **{n: make(tfds) for n, make in others.items()}}
    )


def label(*classes):
    return lambda tfds: tfds.features.ClassLabel(names=list(classes))


def number(kind):
    return lambda tfds: tfds.features.Scalar(kind)


def texts(tfds):
    return tfds.features.Sequence(tfds.features.Text())


def index(*names):
    return lambda tfds: tfds.features.FeaturesDict({n: tfds.features.Scalar(np.int32) for n in names})


SHORT = "A document shorter than one chunk."
COLA = [{"sentence": f"Sentence {i} – naïve.", "label": i % 2, "idx": i} for i in range(5)]
RECORD = [
    {
        "passage": "Ann met Bob.\n@highlight\nThey ate",
        "query": "@placeholder ate.",
        "entities": ["Ann", "Bob"],
        "answers": names,
        "idx": {"passage": 0, "query": i},
    }
    for i, names in enumerate((["Ann", "Bob"], ["Ann"]))
]
MULTIRC = [
    {
        "paragraph": "<b>Sent 1: </b>A.<br>",
        "question": "Q?",
        "answer": a,
        "label": i,
        "idx": {"paragraph": 0, "question": 0, "answer": i},
    }
    for i, a in enumerate(("no", "yes"))
]
WSC = [
    {
        "text": "Ann saw Eve when she left.",
        "span1_text": name,
        "span1_index": i,
        "span2_text": "she",
        "span2_index": 4,
        "label": right,
        "idx": i,
    }
    for i, (name, right) in enumerate((("Ann", 0), ("Eve", 1)))
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    prepare(
        folder,
        "glue/cola:2.0.0",
        of_text("sentence", label=label("unacceptable", "acceptable"), idx=number(np.int32)),
        {"train": COLA, "validation": COLA[:2], "test": [{**COLA[0], "label": -1}]},
    )
    prepare(
        folder,
        "glue/stsb:2.0.0",
        of_text("sentence1", "sentence2", label=number(np.float32), idx=number(np.int32)),
        {"validation": [{"sentence1": "a", "sentence2": "b", "label": 3.25, "idx": 0}]},
    )
    prepare(
        folder,
        "super_glue/record:1.0.2",
        of_text("passage", "query", entities=texts, answers=texts, idx=index("passage", "query")),
        {"train": RECORD, "validation": RECORD, "test": [{**RECORD[0], "answers": []}]},
    )
    prepare(
        folder,
        "super_glue/multirc:1.0.2",
        of_text(
            "paragraph",
            "question",
            "answer",
            label=label("False", "True"),
            idx=index("paragraph", "question", "answer"),
        ),
        {"validation": MULTIRC},
    )
    prepare(
        folder,
        "super_glue/wsc.fixed:1.0.2",
        of_text(
            "text",
            "span1_text",
            "span2_text",
            span1_index=number(np.int32),
            span2_index=number(np.int32),
            label=label("False", "True"),
            idx=number(np.int32),
        ),
        {"train": WSC, "validation": WSC},
    )
    prepare(
        folder,
        "squad/v1.1:3.0.0",
        of_text(
            "id",
            "title",
            "context",
            "question",
            answers=lambda tfds: tfds.features.Sequence({"text": tfds.features.Text(), "answer_start": np.int32}),
        ),
        {
            "validation": [
                {
                    "id": "x",
                    "title": "t",
                    "context": "It is (so).",
                    "question": "What?",
                    "answers": {"text": ["so", "(so)"], "answer_start": [7, 6]},
                }
            ]
        },
    )
    prepare(
        folder,
        "wmt_t2t_translate/de-en:1.0.0",
        of_text("de", "en"),
        {"train": [{"de": "Tag – schön", "en": "day"}] * 3},
    )
    prepare(
        folder,
        "definite_pronoun_resolution:1.1.0",
        of_text("sentence", "pronoun", candidates=texts, label=label("0", "1")),
        {
            "train": [
                {"sentence": "Ann saw Eve and she left.", "pronoun": "she", "candidates": ["Ann", "Eve"], "label": 1}
            ]
        },
    )
    prepare(
        folder,
        "c4/en:2.2.0",
        of_text("text"),
        {
            "train": [{"text": f"Document {i}. " * 80} for i in range(4)],
            "validation": [{"text": "Held out. " * 100}, {"text": SHORT}],
        },
    )
    return str(folder)


def evaluated(name: str, data_dir: str, split: str = "validation"):
    return tasks.get(name).evaluation_examples(split, VOCABULARY, lengths=LENGTHS, data_dir=data_dir)


def scores(name: str, data_dir: str, predictions: list[str]) -> dict[str, float]:
    task = tasks.get(name)
    made, _ = evaluated(name, data_dir)
    targets = [task.postprocess(t["targets"], t, True) for t in made]
    answers = [task.postprocess(p, t, False) for p, t in zip(predictions, made, strict=True)]
    return {k: v for metric in task.metric_functions() for k, v in metric(targets, answers).items()}


def test_cola(data_dir):
    made, tokens = evaluated("glue_cola_v002", data_dir, "train")
    assert [(t["inputs"], t["targets"]) for t in made] == [
        (f"cola sentence: Sentence {i} – naïve.", ("unacceptable", "acceptable")[i % 2]) for i in range(5)
    ]
    assert [VOCABULARY.decode(t["inputs"]) for t in tokens] == [t["inputs"] for t in made]
    assert [t["targets"] for t in evaluated("glue_cola_v002", data_dir, "test")[0]] == ["<unk>"]
    assert scores("glue_cola_v002", data_dir, ["unacceptable", "acceptable"]) == {"matthews_corrcoef": 100}
    assert scores("glue_cola_v002", data_dir, ["acceptable", "unacceptable"]) == {"matthews_corrcoef": -100}
    assert scores("glue_cola_v002", data_dir, ["what", "ever"]) == {"matthews_corrcoef": 0}


def test_stsb(data_dir):
    made, _ = evaluated("glue_stsb_v002", data_dir)
    assert [t["targets"] for t in made] == ["3.2"]


def test_record_is_one_example_for_each_answer_and_judged_once_for_each_question(data_dir):
    task = tasks.get("super_glue_record_v102")
    assert len(task.raw("train", data_dir)) == 3
    made, _ = evaluated(task.name, data_dir)
    inputs = "record query: @placeholder ate. entities: Ann, Bob passage: Ann met Bob. They ate"
    assert [(t["inputs"], t["targets"]) for t in made] == [(inputs, "Ann"), (inputs, "Bob"), (inputs, "Ann")]
    assert scores(task.name, data_dir, ["Bob", "Bob", "Bob"]) == {"em": 50, "f1": 50}
    assert [t["targets"] for t in evaluated(task.name, data_dir, "test")[0]] == ["<unk>"]


def test_multirc_is_grouped_by_question(data_dir):
    made, _ = evaluated("super_glue_multirc_v102", data_dir)
    assert [(t["inputs"], t["targets"]) for t in made] == [
        (f"multirc question: Q? answer: {a} paragraph: Sent 1: A. ", t) for a, t in (("no", "False"), ("yes", "True"))
    ]
    found = [scores("super_glue_multirc_v102", data_dir, [answer, "True"]) for answer in ("False", "True")]
    assert found[0] == pytest.approx({"f1": 100, "exact_match": 100})
    assert found[1] == pytest.approx({"f1": 200 / 3, "exact_match": 0})


def test_wsc_trains_on_right_referents_and_is_judged_on_all(data_dir):
    made, _ = evaluated("super_glue_wsc_v102_simple_train", data_dir, "train")
    assert [(t["inputs"], t["targets"]) for t in made] == [("wsc: Ann saw Eve when *she* left.", "Eve")]
    name = "super_glue_wsc_v102_simple_eval"
    assert [t["targets"] for t in evaluated(name, data_dir)[0]] == ["Ann", "Eve"]
    assert scores(name, data_dir, ["Eve", "the Eve"]) == {"accuracy": 100}
    assert scores(name, data_dir, ["Ann", "Ann"]) == {"accuracy": 0}


def test_squad_is_judged_by_its_best_answer(data_dir):
    made, _ = evaluated("squad_v010_allanswers", data_dir)
    assert [(t["inputs"], t["targets"]) for t in made] == [("question: What ? context: It is ( so ) . ", "so")]
    assert scores("squad_v010_allanswers", data_dir, ["the So."]) == {"em": 100, "f1": 100}


def test_definite_pronouns_and_translation(data_dir):
    made, _ = evaluated("dpr_v001_simple", data_dir, "train")
    assert [(t["inputs"], t["targets"]) for t in made] == [("wsc: Ann saw Eve and *she* left.", "Eve")]
    made, _ = evaluated("wmt_t2t_ende_v003", data_dir, "train")
    assert {(t["inputs"], t["targets"]) for t in made} == {("translate English to German: day", "Tag – schön")}


def test_c4_under_span_corruption(data_dir):
    made, tokens = evaluated("c4_v220_span_corruption", data_dir, "train")
    assert len(tokens) == 4
    assert [len(t["inputs"]) for t in tokens] == [512] * 4
    assert [len(t["targets"]) for t in tokens] == [114] * 4
    sentinels = [VOCABULARY.sentinel(i) for i in range(28)]
    for t in tokens:
        assert (
            [i for i in t["inputs"].tolist() if i in sentinels]
            == sentinels
            == [i for i in t["targets"].tolist() if i in sentinels]
        )
    assert all(t["inputs"] and t["targets"] for t in made)


@pytest.mark.parametrize("name", ["c4_v220_span_corruption", "c4_v220_prefix_lm"])
def test_documents_of_c4_end_once_on_each_side(data_dir, name):
    _, tokens = evaluated(name, data_dir)
    for side in ("inputs", "targets"):
        ends = [np.flatnonzero(t[side] == VOCABULARY.eos_id).tolist() for t in tokens]
        assert ends == [[len(t[side]) - 1] for t in tokens]
    sentinels = [VOCABULARY.sentinel(i) for i in range(3)]
    kept = [i for side in ("inputs", "targets") for i in tokens[1][side].tolist() if i not in (*sentinels, 1)]
    assert len(kept) == len(SHORT)


def test_documents_of_c4_under_causal_lm_end_where_the_document_does(data_dir):
    _, (long, short) = evaluated("c4_v220_full_lm", data_dir)
    assert VOCABULARY.decode(short["targets"]) == SHORT
    assert short["targets"].tolist().index(VOCABULARY.eos_id) == len(SHORT)
    assert len(long["targets"]) == LENGTHS[1] - 1


def test_the_stream_of_a_mixture_reads_tfds(data_dir):
    from t2t.data.stream import make_streams

    mixture = tasks.Mixture(name="m", members=("glue_cola_v002", "wmt_t2t_ende_v003"))
    found = tasks.tasks_of(mixture, data_dir)
    assert [(t.name, share) for t, share in found] == [("glue_cola_v002", 5 / 8), ("wmt_t2t_ende_v003", 3 / 8)]
    parts = [t.part("train", VOCABULARY, lengths=LENGTHS, rate=share, data_dir=data_dir) for t, share in found]
    (stream,) = make_streams(parts, seed=0)
    drawn = [VOCABULARY.decode(stream[i]["inputs"]).split()[0] for i in range(16)]
    assert (drawn.count("cola"), drawn.count("translate")) == (10, 6)


def _of_tfds() -> list[tasks.Task]:
    entries = map(tasks.get, tasks.names())
    return [e for e in entries if isinstance(e, tasks.Task) and isinstance(e.source, TfdsSource)]


@pytest.mark.parametrize("task", _of_tfds(), ids=lambda task: task.name)
def test_data_that_is_not_there_is_said_with_its_place_and_the_command(task, tmp_path):
    with pytest.raises(DataError) as caught:
        task.raw(task.splits[0], str(tmp_path))
    dataset = task.source.dataset
    assert str(caught.value) == (
        f"Task '{task.name}': The dataset '{dataset}' is not prepared in {tmp_path}. Prepare it on a machine with "
        f"network and TensorFlow: tfds build {dataset} --file_format=array_record --data_dir={tmp_path}"
    )


def test_without_a_folder_tfds_own_is_named():
    from tensorflow_datasets.core.constants import DATA_DIR

    with pytest.raises(DataError, match=f"'no_such_set:1.0.0' is not prepared in {DATA_DIR}"):
        TfdsSource("no_such_set:1.0.0").examples("train")


def test_a_split_that_was_not_prepared_is_said(data_dir):
    with pytest.raises(DataError, match="Task 'glue_stsb_v002': 'glue/stsb:2.0.0', split 'train', cannot be read"):
        tasks.get("glue_stsb_v002").raw("train", data_dir)


def test_every_data_set_exists_in_tfds_at_its_version_with_its_labels():
    """The command that the error names works: TFDS's own code has each configuration, version and label."""
    import importlib

    tfds = pytest.importorskip("tensorflow_datasets")
    modules = {
        "glue": "text.glue",
        "super_glue": "text.super_glue",
        "c4": "text.c4",
        "squad": None,
        "definite_pronoun_resolution": "text.definite_pronoun_resolution",
        "cnn_dailymail": "summarization.cnn_dailymail",
        "wmt14_translate": "translate.wmt14",
        "wmt15_translate": "translate.wmt15",
        "wmt16_translate": "translate.wmt16",
        "wmt_t2t_translate": "translate.wmt_t2t",
        "cifar10": "image_classification.cifar",
        "downsampled_imagenet": None,
    }
    for task in _of_tfds():
        path, version = task.source.dataset.split(":")
        name, _, config = path.partition("/")
        if modules[name]:
            importlib.import_module(f"tensorflow_datasets.{modules[name]}")
        code = tfds.builder_cls(name)
        found = code.builder_configs[config] if config else code
        versions = [found.version, *(found.supported_versions or ())] if config and found.version else [code.VERSION]
        assert version in map(str, versions), task.name
        words = getattr(task.postprocess, "labels", None)
        if words and name in ("glue", "super_glue"):
            assert list(words) == list(found.label_classes), task.name
