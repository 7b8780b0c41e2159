"""The benchmarks' examples as text equal what T5 published: its paper's appendix D, its preprocessors' own tests."""

import numpy as np
import pytest

from t2t.tasks import get
from t2t.tasks.formats import generation, labels


def text_of(name: str, example: dict) -> tuple[str, str]:
    text = get(name).text(example, np.random.default_rng(0))
    return text["inputs"], text["targets"]


# Raffel et al. 2020, appendix D.
GLUE = [
    (
        "glue_cola_v002",
        {"sentence": "John made Bill master of himself.", "label": 1, "idx": 0},
        "cola sentence: John made Bill master of himself.",
        "acceptable",
    ),
    (
        "glue_sst2_v002",
        {
            "idx": 3,
            "label": 1,
            "sentence": "it confirms fincher 's status as a film maker who artfully "
            "bends technical know-how to the service of psychological insight . ",
        },
        "sst2 sentence: it confirms fincher 's status as a film maker who artfully bends technical know-how to the "
        "service of psychological insight . ",
        "positive",
    ),
    (
        "glue_mrpc_v002",
        {"sentence1": "We acted because we saw it .", "sentence2": "Rather , the US acted .", "label": 1, "idx": 1},
        "mrpc sentence1: We acted because we saw it . sentence2: Rather , the US acted .",
        "equivalent",
    ),
    (
        "glue_qqp_v002",
        {
            "question2": "How I GET OPPERTINUTY TO JOIN IT COMPANY AS A FRESHER?",
            "label": 0,
            "idx": 7,
            "question1": "What attributes would have made you highly desirable in ancient Rome?",
        },
        "qqp question1: What attributes would have made you highly desirable in ancient Rome? question2: How I GET "
        "OPPERTINUTY TO JOIN IT COMPANY AS A FRESHER?",
        "not_duplicate",
    ),
    (
        "glue_stsb_v002",
        {
            "sentence1": "Representatives for Puretunes could not be reached for comment Wednesday.",
            "sentence2": "Puretunes representatives could not be located Thursday to comment on the suit.",
            "label": np.float32(3.25),
            "idx": 0,
        },
        "stsb sentence1: Representatives for Puretunes could not be reached for comment Wednesday. sentence2: "
        "Puretunes representatives could not be located Thursday to comment on the suit.",
        "3.2",
    ),
    (
        "glue_qnli_v002",
        {
            "question": "Where did Jebe die?",
            "label": 0,
            "idx": 0,
            "sentence": "Genghis Khan recalled "
            "Subutai back to Mongolia soon afterwards, and Jebe died on the road back to Samarkand.",
        },
        "qnli question: Where did Jebe die? sentence: Genghis Khan recalled Subutai back to "
        "Mongolia soon afterwards, and "
        "Jebe died on the road back to Samarkand.",
        "entailment",
    ),
    (
        "glue_rte_v002",
        {
            "sentence1": "A smaller proportion were settled in Slovenia.",
            "sentence2": "Slovenia has 3,000 inhabitants.",
            "label": 1,
            "idx": 0,
        },
        "rte sentence1: A smaller proportion were settled in Slovenia. sentence2: Slovenia has 3,000 inhabitants.",
        "not_entailment",
    ),
    (
        "glue_wnli_v002",
        {"sentence1": "The fish ate the worm. It was tasty.", "sentence2": "The worm was tasty.", "label": 1, "idx": 0},
        "wnli sentence1: The fish ate the worm. It was tasty. sentence2: The worm was tasty.",
        "entailment",
    ),
]
MNLI = {
    "premise": "yeah well losing is i mean",
    "hypothesis": "The St. Louis Cardinals have always won.",
    "label": 2,
    "idx": 0,
}
MNLI_TEXT = "mnli hypothesis: The St. Louis Cardinals have always won. premise: yeah well losing is i mean"


@pytest.mark.parametrize(("name", "example", "inputs", "targets"), GLUE, ids=[row[0] for row in GLUE])
def test_glue(name, example, inputs, targets):
    assert text_of(name, example) == (inputs, targets)


@pytest.mark.parametrize("name", ["mnli", "mnli_matched", "mnli_mismatched"])
def test_mnli_has_its_hypothesis_first_under_every_name(name):
    assert text_of(f"glue_{name}_v002", MNLI) == (MNLI_TEXT, "contradiction")


def test_the_diagnostic_set_is_cast_as_mnli_and_its_labels_are_hidden():
    assert text_of("glue_ax_v002", {**MNLI, "label": -1}) == (MNLI_TEXT, "<unk>")


# T5's own test of its `glue` preprocessor.
@pytest.mark.parametrize(
    ("features", "inputs"), [((), "qqp q1: How so? q2: Why not? q3: Who?"), (("q3", "q1"), "qqp q3: Who? q1: How so?")]
)
@pytest.mark.parametrize(("label", "targets"), [(0, "not_duplicate"), (1, "duplicate"), (-1, "<unk>")])
def test_features_are_sorted_or_as_given_and_a_hidden_label_is_unk(features, inputs, label, targets):
    example = {"q3": "Who?", "q1": "How so?", "q2": "Why not?", "idx": 10, "label": label}
    made = labels.Labelled("qqp", ("not_duplicate", "duplicate"), features)(example)
    assert (made["inputs"], made["targets"], made["idx"]) == (inputs, targets, 10)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (2.8, "2.8"),
        (1.66, "1.6"),
        (0.0, "0.0"),
        (5.0, "5.0"),
        (4.75, "4.8"),
        (3.25, "3.2"),
        (1.8, "1.8"),
        (0.5, "0.4"),
        (0.1, "0.0"),
        (0.3, "0.4"),
        (2.5, "2.4"),
        (3.5, "3.6"),
        (1.5, "1.6"),
    ],
)  # halves of fifths go to even
def test_similarity_is_rounded_to_fifths_halves_to_even(label, text):
    example = {"sentence1": "Big news.", "sentence2": "No idea.", "label": label, "idx": 1}
    assert labels.stsb(example)["inputs"] == "stsb sentence1: Big news. sentence2: No idea."
    for kind in (float, np.float32, np.float64):
        assert labels.stsb({**example, "label": kind(label)})["targets"] == text


def test_there_are_26_similarities():
    texts = {labels.stsb({"sentence1": "", "sentence2": "", "label": x})["targets"] for x in np.linspace(0, 5, 5_001)}
    assert texts == {f"{i / 5:.1f}" for i in range(26)}


SUPER_GLUE = [
    (
        "super_glue_boolq_v102",
        {"question": "did he flip", "passage": "Only once.", "label": 1, "idx": 0},
        "boolq passage: Only once. question: did he flip",
        "True",
    ),
    (
        "super_glue_cb_v102",
        {"premise": "It was valence.", "hypothesis": "Valence was helping", "label": 1, "idx": 0},
        "cb hypothesis: Valence was helping premise: It was valence.",
        "contradiction",
    ),
    (
        "super_glue_copa_v102",
        {
            "premise": "Political violence broke out in the nation.",
            "question": "effect",
            "choice1": "Many citizens relocated to the capitol.",
            "idx": 0,
            "label": 1,
            "choice2": "Many citizens took refuge in other territories.",
        },
        "copa choice1: Many citizens relocated to the capitol. choice2: Many citizens took refuge "
        "in other territories. "
        "premise: Political violence broke out in the nation. question: effect",
        "choice2",
    ),
    (
        "super_glue_rte_v102",
        {"premise": "Dogs bark.", "hypothesis": "Cats bark.", "label": 1, "idx": 0},
        "rte hypothesis: Cats bark. premise: Dogs bark.",
        "not_entailment",
    ),
    (
        "super_glue_axg_v102",
        {"premise": "She left.", "hypothesis": "He left.", "label": 0, "idx": 0},
        "rte hypothesis: He left. premise: She left.",
        "entailment",
    ),
    (
        "super_glue_axb_v102",
        {"sentence1": "The cat sat.", "sentence2": "The cat did not sit.", "label": 1, "idx": 0},
        "rte hypothesis: The cat did not sit. premise: The cat sat.",
        "not_entailment",
    ),
    (
        "super_glue_wic_v102",
        {
            "word": "slaughter",
            "sentence1": "It was a slaughter.",
            "sentence2": "They slaughtered.",
            "start1": 9,
            "end1": 18,
            "start2": 5,
            "end2": 16,
            "label": 0,
            "idx": 0,
        },
        "wic sentence1: It was a slaughter. sentence2: They slaughtered. word: slaughter",
        "False",
    ),
    (
        "super_glue_multirc_v102",  # T5's own test, and the paper's example
        {
            "paragraph": "<b>Sent 1: </b>Once upon a time, there was a squirrel named "
            "Joey.<br><b>Sent 2: </b>Joey loved to "
            "go outside and play with his cousin Jimmy.",
            "question": "Why was Joey surprised the morning he woke up for breakfast?",
            "answer": "There was only pie to eat",
            "label": 1,
            "idx": {"paragraph": 5, "question": 1, "answer": 3},
        },
        "multirc question: Why was Joey surprised the morning he woke up for breakfast? answer: "
        "There was only pie to eat "
        "paragraph: Sent 1: Once upon a time, there was a squirrel named Joey. Sent 2: Joey loved "
        "to go outside and play "
        "with his cousin Jimmy.",
        "True",
    ),
]


@pytest.mark.parametrize(("name", "example", "inputs", "targets"), SUPER_GLUE, ids=[row[0] for row in SUPER_GLUE])
def test_super_glue(name, example, inputs, targets):
    assert text_of(name, example) == (inputs, targets)


@pytest.mark.parametrize(("text", "value"), [("10", 10.0), ("10.", 10.0), ("3.2", 3.2), ("asdf", -1.0), ("", -1.0)])
def test_numbers_are_read_or_minus_one(text, value):
    assert labels.number(text, {}, False) == value


def test_labels_are_indices_or_minus_one():
    index = labels.LabelIndex(("one", "two"))
    assert [index(word, {}, False) for word in ("one", "two", "foo", "One", "")] == [0, 1, -1, -1, -1]


def test_translation_and_summary():
    assert text_of("wmt_t2t_ende_v003", {"en": "That is good.", "de": "Das ist gut."}) == (
        "translate English to German: That is good.",
        "Das ist gut.",
    )
    assert text_of("wmt15_enfr_v003", {"en": "Yes", "fr": "Oui"}) == ("translate English to French: Yes", "Oui")
    assert text_of("wmt16_enro_v003", {"en": "Yes", "ro": "Da"}) == ("translate English to Romanian: Yes", "Da")
    assert text_of("cnn_dailymail_v002", {"article": "An article.", "highlights": "A summary."}) == (
        "summarize: An article.",
        "A summary.",
    )
    assert generation.Translate("de", "en")({"en": "That is good.", "de": "Das ist gut."})["inputs"] == (
        "translate German to English: Das ist gut."
    )
