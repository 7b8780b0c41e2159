"""The benchmarks' examples as text equal what T5 published: its paper's appendix D, its preprocessors' own tests."""

import numpy as np
import pytest

from t2t.tasks import get
from t2t.tasks.formats import answers, generation, labels, pronouns


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


RECORD = {
    "query": "It was @placeholder.",
    "entities": ["A", "B", "C"],
    "answers": ["A", "C"],
    "passage": "This is the passage\n@highlight\nAnother sentence.\n@highlight\nThird sentence.",
    "idx": {"passage": 1, "query": 2},
}
RECORD_TEXT = (
    "record query: It was @placeholder. entities: A, B, C passage: This is the passage. Another sentence. "
    "Third sentence."
)


def test_record_makes_an_example_of_each_answer():
    made = [answers.record(e) for e in answers.record_answers(RECORD)]
    assert [(e["inputs"], e["targets"], e["answers"]) for e in made] == [
        (RECORD_TEXT, "A", ["A", "C"]),
        (RECORD_TEXT, "C", ["A", "C"]),
    ]


def test_record_without_answers_is_one_example_whose_target_is_unk():
    made = [answers.record(e) for e in answers.record_answers({**RECORD, "answers": []})]
    assert [(e["inputs"], e["targets"], e["answers"]) for e in made] == [(RECORD_TEXT, "<unk>", [])]


@pytest.mark.parametrize(
    ("end", "joined"), [(".", ". "), ("?", "? "), ("!", "! "), ('"', '" '), ("'", "' "), (",", ",. ")]
)
def test_highlights_of_record_become_sentences(end, joined):
    made = answers.record({**RECORD, "answer": "A", "passage": f"So{end}\n@highlight\nYes"})
    assert made["inputs"].endswith(f" passage: So{joined}Yes")


def test_squad():  # T5's own test
    made = answers.squad(
        {
            "id": "testid",
            "context": "Some context.",
            "question": "A question?",
            "answers": {"text": ["The answer.", "Another answer."]},
        }
    )
    assert made == {
        "id": "testid",
        "inputs": "question: A question ? context: Some context . ",
        "targets": "The answer . ",
        "context": "Some context . ",
        "question": "A question ? ",
        "answers": ["The answer . ", "Another answer . "],
    }


@pytest.mark.parametrize(
    ("text", "padded"),
    [
        (
            '"This  is a string with "punctuation (1845-1986) ".',
            ' " This is a string with " punctuation ( 1845 - 1986 ) " . ',
        ),
        ('"Introducción (la vídeo)".', ' " Introducción ( la vídeo ) " . '),
        ("one\n\ntwo\tthree", "one two three"),
        ("10\u00a0km, «so»", "10\u00a0km , «so»"),
    ],
)  # only ASCII is punctuation or white space to T5
def test_punctuation_is_padded(text, padded):
    assert answers.pad_punctuation(text) == padded


def test_squad_keeps_no_break_spaces_as_t5_does():
    made = answers.squad({"context": "10\u00a0km", "question": "How\u2003far", "answers": {"text": ["10"]}})
    assert made["inputs"] == "question: How\u2003far context: 10\u00a0km"


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
