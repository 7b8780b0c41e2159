"""Questions and their answers as text: SQuAD and ReCoRD as T5's own tests have them."""

import pytest

from t2t.tasks.formats import answers

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
