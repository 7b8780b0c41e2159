"""What heads learn of real annotated text, where it is present: nothing is lost on the way to tokens and back."""

import shutil

import numpy as np
import pytest

from t2t.data import DataConfig
from t2t.data.vocabulary import from_folder
from t2t.tasks import from_files
from t2t.tasks.labelling import Spans, Tags, read_labels
from t2t.tasks.labelling.spans import MOST_TOKENS
from t2t.tasks.metrics.answers import normalise


@pytest.fixture(scope="module")
def bert(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    shutil.copy(shared_data / "tokenizers" / "bert_uncased_vocab.txt", folder / "vocab.txt")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    return from_folder(folder)


def task_of(path, **data):
    return from_files(DataConfig(train=str(path), validation=str(path), **data))


def test_all_sentences_of_wnut17_keep_their_tags(shared_data, bert):
    task = task_of(shared_data / "wnut17" / "dev.conll", metrics=("entity_f1", "tag_accuracy"))
    texts = task.evaluation_texts("validation")
    assert sum(len(t["inputs"].split(" ")) for t in texts) == 15_733
    labels = read_labels([t["targets"] for t in texts], "tagging")
    assert len(labels) == 13
    tags, answers, windows = Tags(labels, 24, 8), [], 0
    for text in texts:
        examples = tags.examples(text, bert, True)
        answers.append(tags.answer([np.eye(len(labels))[e["targets"]] for e in examples], examples, text))
        windows += len(examples)
    assert windows > len(texts)
    (entity_f1, tag_accuracy) = task.metric_functions()
    targets = [t["targets"] for t in texts]
    assert entity_f1(targets, answers)["entity_f1"] > 99.9  # a word of symbols that BERT knows nothing of is outside
    assert tag_accuracy(targets, answers)["tag_accuracy"] > 99.99


@pytest.mark.parametrize("language", ["en", "de", "es", "zh", "ar"])
def test_answers_of_xquad_come_back_from_their_windows(shared_data, bert, language):
    task = task_of(shared_data / "xquad" / f"xquad.{language}.json.gz", format="squad")
    texts = task.evaluation_texts("validation")
    assert len(texts) == 1_190
    spans, answers, windows = Spans(128, 48), [], 0
    asked = [text for text in texts[::7] if len(bert.tokens(text["answers"][0])) <= MOST_TOKENS]
    for text in asked:
        examples = spans.examples(text, bert, True)
        logits = [np.stack([9.0 * np.eye(len(e["inputs"]))[at] for at in e["targets"]]) for e in examples]
        held = [i for i, e in enumerate(examples) if e["targets"].tolist() != [0, 0]]
        # Windows that do not hold the answer say so, and the best of the others is taken.
        answers.append(spans.answer([logits[i] for i in held], [examples[i] for i in held], text) if held else "")
        windows += len(examples)
    wanted = [text["answers"][0] for text in asked]
    assert windows > len(wanted)
    whole = [normalise(w) in normalise(a) for w, a in zip(wanted, answers)]
    same = [normalise(w) == normalise(a) for w, a in zip(wanted, answers)]
    assert np.mean(whole) > 0.97
    assert np.mean(same) > 0.95  # but for those that end within a word
