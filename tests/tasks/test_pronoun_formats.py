"""Pronouns and their referents as text: the Winograd schemas of DPR, WSC and WNLI as T5's own tests have them."""

import numpy as np
import pytest
from test_formats import text_of

from t2t.tasks import get
from t2t.tasks.formats import pronouns


@pytest.mark.parametrize(
    ("sentence", "pronoun", "label", "marked", "referent"),
    [  # T5's own tests
        (
            "Mitchell asked Tom if he could lend some money.",
            "he",
            1,
            "Mitchell asked Tom if *he* could lend some money.",
            "Tom",
        ),
        (
            "Bill beat Tom at Scrabble because that newbie had all the luck.",
            "that newbie",
            0,
            "Bill beat Tom at Scrabble because *that newbie* had all the luck.",
            "Bill",
        ),
        (
            "Carl borrowed a book from Richard, but the book was unreadable to him.",
            "him",
            0,
            "Carl borrowed a book from Richard, but the book was unreadable to *him*.",
            "Carl",
        ),
        ("Ann saw that it, when it fell, was lost.", "it", 0, "Ann saw that *it*, when it fell, was lost.", "Ann"),
    ],
)
def test_definite_pronouns(sentence, pronoun, label, marked, referent):
    candidates = ["Mitchell", "Tom"] if label else [referent, "Tom"]
    example = {"sentence": sentence, "pronoun": pronoun, "candidates": candidates, "label": label}
    assert text_of("dpr_v001_simple", example) == (f"wsc: {marked}", referent)


WSC = {
    "text": "Mitchell asked Tom if he could lend some money.",
    "span1_text": "Tom",
    "span2_text": "he",
    "span2_index": 4,
    "idx": 1,
}
WSC_TEXT = "wsc: Mitchell asked Tom if *he* could lend some money."


def test_wsc():
    name = "super_glue_wsc_v102_simple_eval"
    assert text_of(name, WSC) == (WSC_TEXT, "Tom")
    assert text_of(name, {**WSC, "span1_text": "Mitchell", "label": 0}) == (WSC_TEXT, "Mitchell")


def test_wsc_trains_only_on_right_referents():
    task = get("super_glue_wsc_v102_simple_train")
    assert text_of(task.name, {**WSC, "label": 1}) == (WSC_TEXT, "Tom")
    assert task.text({**WSC, "span1_text": "Mitchell", "label": 0}, np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("text", "index", "pronoun", "marked"),
    [  # the two examples that T5 treats by hand
        (
            'The pony threw him over. John laughed. "Good for him," he said.',
            9,
            "him",
            'The pony threw him over. John laughed. "Good for *him* ," he said.',
        ),
        (
            "Some day they might want to use it , but really for now, what more?",
            6,
            "it",
            "Some day they might want to use *it* , but really for now, what more?",
        ),
    ],
)
def test_wsc_with_a_pronoun_that_is_not_where_its_index_says(text, index, pronoun, marked):
    example = {"text": text, "span1_text": "x", "span2_text": pronoun, "span2_index": index, "label": 1}
    assert pronouns.wsc(example)["inputs"] == f"wsc: {marked}"


@pytest.mark.parametrize(
    ("premise", "hypothesis", "marked", "candidate"),
    [  # T5's own tests; the last by hand
        (
            "Lily spoke to Donna breaking her silence.",
            "Lily spoke to Donna breaking Donna's silence.",
            "Lily spoke to Donna breaking *her* silence.",
            "Donna",
        ),
        (
            "The fish ate the worm. It was tasty.",
            "The worm was tasty.",
            "The fish ate the worm. *It* was tasty.",
            "The worm",
        ),
        (
            "Edward dropped adhesive tape onto his window sill, and when he pulled the tape off, "
            "some of the glue was stuck "
            "on it.",
            "Some of the glue was stuck on the window sill.",
            "Edward dropped adhesive tape onto his window sill, and when he pulled the tape off, "
            "some of the glue was stuck "
            "on *it* .",
            "the window sill",
        ),
        (
            "Al stole Bob's wallet and car, and then he was driving it really fast to get away.",
            "He was driving the car really fast to get away.",
            "Al stole Bob's wallet and car, and then he was driving *it* really fast to get away.",
            "the car",
        ),
        (
            "He ate , slowly , what she gave him , and slept.",
            "What she gave Tom.",
            "He ate , slowly , what she gave *him* , and slept.",
            "Tom",
        ),
    ],
)
def test_wnli_is_turned_back_into_a_schema(premise, hypothesis, marked, candidate):
    example = {"sentence1": premise, "sentence2": hypothesis, "label": 1, "idx": 1}
    assert text_of("glue_wnli_v002_simple_eval", example) == (f"wsc: {marked}", candidate)


@pytest.mark.parametrize(
    ("prediction", "referent", "found"),
    [  # T5's own tests
        ("potato", "turnip", 0),
        ("turnip", "turnip", 1),
        ("the cat", "cat", 1),
        ("Bob's hat", "Bob", 0),
        ("Bob's hat", "Bob's hat", 1),
        ("potato", "Potato", 1),
        ("a potato", "my potato", 1),
        ("fuzzy bunny", "fuzzy hungry bunny", 1),
        ("", "cat", -1),
        ("a this", "cat", -1),
        ("fuzzy hungry bunny", "the bunny", 1),
        ("fuzzy cat", "fuzzy bunny", 0),
    ],
)  # these two of our own
def test_a_referent_is_found(prediction, referent, found):
    assert pronouns.referent_found(prediction, {"targets": referent, "label": 1}, False) == found


@pytest.mark.parametrize("label", [0, 1, -1])
def test_the_target_of_a_referent_is_the_label(label):
    assert pronouns.referent_found("blah", {"targets": "blah", "label": label}, True) == label
