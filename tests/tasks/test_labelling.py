"""What heads learn of a text: labels by index, tags on first pieces, spans by characters, in overlapping windows."""

import json

import numpy as np
import pytest

from t2t.data import ByteVocabulary
from t2t.data.vocabulary import from_folder
from t2t.errors import DataError
from t2t.tasks.labelling import Classes, Numbers, Spans, Tags, labelling_of, read_labels
from t2t.tasks.labelling.spans import MOST_TOKENS, best_span

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "sat", "on", "the", "ma", "##t", "cat", "##s", ".", "a", "##n",
    "##d", "dog", "play", "##ed", "?",
]  # fmt: skip
LABELS = ("B-x", "I-x", "O")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}), encoding="utf-8")
    return from_folder(folder)


def pieces(ids):
    return " ".join(PIECES[i] for i in ids)


def logits_of(wanted, classes):
    """Logits [n classes] whose greatest is the wanted class of each token."""
    return np.eye(classes, dtype=np.float32)[wanted]


def test_a_class_is_an_index_and_a_pair_has_types(bert):
    classes = Classes(("no", "yes"))
    (one,) = classes.examples({"inputs": "the cats sat", "targets": "yes"}, bert, True)
    assert pieces(one["inputs"]) == "[CLS] the cat ##s sat [SEP]"
    assert (one["targets"], one["loss_weights"]) == (1, 1.0)
    (two,) = classes.examples({"inputs": "", "texts": ["the dog", "a cat"], "targets": "no"}, bert, True)
    assert pieces(two["inputs"]) == "[CLS] the dog [SEP] a cat [SEP]"
    assert two["types"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert classes.answer([np.array([0.1, 0.3])], [one], {}) == "yes"


def test_a_strange_label_is_an_error_in_training_and_weighs_nothing_after_it(bert):
    classes, text = Classes(("no", "yes")), {"inputs": "a", "targets": "perhaps"}
    with pytest.raises(DataError, match="one of the labels no, yes, found the target 'perhaps'"):
        classes.examples(text, bert, True)
    assert classes.examples(text, bert, False)[0]["loss_weights"] == 0
    assert classes.examples({"inputs": "a", "targets": "<unk>"}, bert, True)[0]["loss_weights"] == 0


def test_a_number_is_itself(bert):
    (example,) = Numbers().examples({"inputs": "a", "targets": "3.8"}, bert, True)
    assert example["targets"] == np.float32(3.8)
    assert example["targets"].dtype == np.float32
    assert float(Numbers().answer([np.array([2.25], np.float32)], [example], {})) == 2.25
    assert Numbers().examples({"inputs": "a"}, bert, False)[0]["loss_weights"] == 0


def test_the_first_piece_of_a_word_has_its_tag(bert):
    tags, text = Tags(LABELS, 64, 32), {"inputs": "the cats sat .", "targets": "O B-x I-x O"}
    (example,) = tags.examples(text, bert, True)
    assert pieces(example["inputs"]) == "[CLS] the cat ##s sat . [SEP]"
    assert example["loss_weights"].tolist() == [0, 1, 1, 0, 1, 1, 0]
    assert [LABELS[t] for t, w in zip(example["targets"], example["loss_weights"]) if w] == ["O", "B-x", "I-x", "O"]
    assert tags.answer([logits_of(example["targets"], 3)], [example], text) == text["targets"]


def test_every_vocabulary_here_has_first_pieces():
    (example,) = Tags(LABELS, 64, 32).examples({"inputs": "naïve  é x", "targets": "O B-x I-x"}, ByteVocabulary(), True)
    at = np.flatnonzero(example["loss_weights"])
    assert at.tolist() == [0, 8, 11]
    assert example["firsts"] == [0, 8, 11]


def test_a_word_that_leaves_no_piece_is_outside(bert):
    tags, text = Tags(LABELS, 64, 32), {"inputs": "cats \u200b sat", "targets": "B-x B-x I-x"}
    (example,) = tags.examples(text, bert, True)
    assert example["firsts"][1] is None
    assert tags.answer([logits_of(example["targets"], 3)], [example], text) == "B-x O I-x"


def test_a_long_text_is_tagged_in_windows_that_show_what_is_around_a_word(bert):
    words = ("the", "cats", "sat", "on", "a", "mat", "the", "cats", "sat")
    given = [LABELS[i % 3] for i in range(len(words))]
    text = {"inputs": " ".join(words), "targets": " ".join(given)}
    tags = Tags(LABELS, 8, 3)
    examples = tags.examples(text, bert, True)
    assert [pieces(e["inputs"]) for e in examples] == [
        "[CLS] the cat ##s sat on a [SEP]",
        "[CLS] sat on a ma ##t the [SEP]",
        "[CLS] ma ##t the cat ##s sat [SEP]",
    ]
    # "a", the fifth word, has nothing after it in the first window, and two words before it in the second.
    assert [e["firsts"] for e in examples] == [
        [1, 2, 4, 5, None, None, None, None, None],
        [None, None, None, None, 3, 4, None, None, None],
        [None, None, None, None, None, None, 3, 4, 6],
    ]
    assert sum(e["loss_weights"].sum() for e in examples) == len(words)
    assert tags.answer([logits_of(e["targets"], 3) for e in examples], examples, text) == text["targets"]
    (whole,) = Tags(LABELS, 14, 3).examples(text, bert, True)
    assert whole["firsts"] == [1, 2, 4, 5, 6, 7, 9, 10, 12]
    (nothing,) = tags.examples({"inputs": "", "targets": ""}, bert, True)
    assert pieces(nothing["inputs"]) == "[CLS] [SEP]"
    with pytest.raises(DataError, match="data.inputs_length 2 has no room for a text"):
        Tags(LABELS, 2, 1).examples(text, bert, True)


def test_words_and_tags_are_as_many(bert):
    with pytest.raises(DataError, match="found 2 words and 1 tags"):
        Tags(LABELS, 64, 32).examples({"inputs": "the cat", "targets": "O"}, bert, True)
    with pytest.raises(DataError, match="found 'B-y'"):
        Tags(LABELS, 64, 32).examples({"inputs": "the cat", "targets": "O B-y"}, bert, True)


CONTEXT = "the cats sat on a mat . dogs played on the mat . "


def asked(answer, start=None):
    text = {"question": "who sat ?", "context": CONTEXT, "answers": [answer] if answer else []}
    return text | ({} if start is None else {"answer_starts": [start]})


def answered(spans, examples, text):
    """The answer where every window's logits are those of its targets."""
    logits = [np.stack([np.eye(len(e["inputs"]))[at] for at in e["targets"]]) * 9 for e in examples]
    return spans.answer(logits, examples, text)


@pytest.mark.parametrize(("answer", "start"), [("the cats", None), ("mat", CONTEXT.rindex("mat")), ("dogs played", 24)])
def test_a_span_of_characters_is_one_of_tokens_and_back(bert, answer, start):
    spans, text = Spans(64, 16), asked(answer, start)
    (example,) = spans.examples(text, bert, True)
    assert pieces(example["inputs"]).startswith("[CLS] who sat ? [SEP] the cat ##s sat on a ma ##t . dog ##s play")
    assert example["types"].tolist() == [0] * 5 + [1] * (len(example["inputs"]) - 5)
    first, last = example["targets"]
    assert CONTEXT[example["offsets"][first][0] : example["offsets"][last][1]] == answer
    assert start is None or example["offsets"][first][0] == start
    assert answered(spans, [example], text) == answer


def test_windows_overlap_and_cover_the_context(bert):
    spans, text = Spans(12, 3), asked("dogs played", 24)
    examples = spans.examples(text, bert, True)
    (whole,) = Spans(64, 3).examples(text, bert, True)
    assert all(len(e["inputs"]) <= 12 for e in examples)
    held = [[e["offsets"][i] for i in e["own"]] for e in examples]
    assert [h[0] for h in held] == [whole["offsets"][i] for i in whole["own"]][::3][: len(held)]
    assert held[-1][-1] == whole["offsets"][whole["own"][-1]]
    inside = [h[0][0] <= 24 and h[-1][1] >= 35 for h in held]
    assert 0 < sum(inside) < len(examples)
    assert [e["targets"].tolist() != [0, 0] for e in examples] == inside
    assert answered(spans, examples, text) == "dogs played"


def test_no_answer_is_the_first_token(bert):
    spans, text = Spans(64, 16), asked("")
    (example,) = spans.examples(text, bert, True)
    assert example["targets"].tolist() == [0, 0]
    assert example["loss_weights"].tolist() == [1, 1]
    assert answered(spans, [example], text) == ""


def test_an_answer_that_is_not_in_the_context_is_not_learned(bert):
    spans, text = Spans(64, 16), asked("a bird")
    assert spans.examples(text, bert, True) == []
    assert spans.examples(text, bert, False)[0]["loss_weights"].tolist() == [0, 0]


def test_a_context_must_have_room(bert):
    with pytest.raises(DataError, match="data.inputs_length 3 has no room"):
        Spans(3, 2).examples(asked("mat"), bert, True)
    with pytest.raises(DataError, match="expected the fields `question` and `context`"):
        Spans(64, 2).examples({"inputs": "who?"}, bert, False)


def test_the_best_span_equals_the_best_of_all_pairs():
    generator = np.random.default_rng(0)
    for length in (1, 5, 50):
        starts, ends = generator.normal(size=(2, length))
        found, first, last = best_span(starts, ends)
        pairs = {(i, j): starts[i] + ends[j] for i in range(length) for j in range(i, min(i + MOST_TOKENS, length))}
        assert (first, last) == max(pairs, key=pairs.get)
        assert found == pytest.approx(max(pairs.values()))


def test_labels_are_read_off_targets():
    assert read_labels(["b", "a", "b", "<unk>"], "sequence") == ("a", "b")
    assert read_labels(["O B-x", "O O I-x"], "tagging") == ("B-x", "I-x", "O")
    with pytest.raises(DataError, match=r"at most 1,000 different ones.*data\.labels"):
        read_labels([str(i) for i in range(2_000)], "sequence")


def test_what_an_output_learns():
    assert labelling_of("sequence", (), length=8, stride=4) == Numbers()
    assert labelling_of("sequence", ("a",), length=8, stride=4) == Classes(("a",))
    assert labelling_of("tagging", ("a",), length=8, stride=4) == Tags(("a",), 8, 4)
    assert labelling_of("spans", (), length=8, stride=4) == Spans(8, 4)
