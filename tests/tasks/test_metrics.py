"""Metrics equal T5's own published values, independent formulas written out here, and their edge cases."""

import collections
import json
import random
import re

import numpy as np
import pytest

from t2t.tasks.metrics import METRICS, TEXT_METRICS
from t2t.tasks.metrics.answers import deduplicated, normalise
from t2t.tasks.metrics.classification import accuracy

REFERENCE = "this is a string"


def value(name: str, targets, predictions) -> float:
    (found,) = METRICS[name](targets, predictions).values()
    return found


# ---- T5's own tests (t5/evaluation/metrics_test.py, qa_utils_test.py)


@pytest.mark.parametrize(
    ("name", "targets", "predictions", "expected"),
    [
        ("bleu_intl", [REFERENCE] * 2, [REFERENCE] * 2, {"bleu": 100}),
        ("bleu_intl", [REFERENCE] * 2, ["", ""], {"bleu": 0}),
        ("bleu_intl", [["", REFERENCE], [REFERENCE, ""]], [REFERENCE] * 2, {"bleu": 100}),
        ("rouge", [REFERENCE] * 2, [REFERENCE] * 2, {"rouge1": 100, "rouge2": 100, "rougeLsum": 100}),
        ("rouge", [REFERENCE] * 2, ["", ""], {"rouge1": 0, "rouge2": 0, "rougeLsum": 0}),
        ("squad", [["", REFERENCE], [REFERENCE] * 2], [REFERENCE] * 2, {"em": 100, "f1": 100}),
        ("squad", [[REFERENCE] * 2] * 2, ["", ""], {"em": 0, "f1": 0}),
        (
            "squad",
            [["big moose", "hippo"], ["correct1"], ["correct2.1", "correct2.2"], ["a", "b"]],
            ["‘a big  Moose!‘", "wrong", "correct2.2", "c"],
            {"em": 25, "f1": 35},
        ),
        ("squad", [["abc abd", "$$$$"]], ["abd"], {"em": 0, "f1": 200 / 3}),
        ("mean_3_class_f1", [0, 1, 1, 2], [0, 0, 2, 2], {"mean_3class_f1": 400 / 9}),
        ("pearson", [0, 2], [0, 1], {"pearson_corrcoef": 100}),
        ("spearman", [0, 2, 1], [0, 1, 2], {"spearman_corrcoef": 50}),
        ("f1", [0, 1, 1, 0], [0, 1, 2, 2], {"f1": 50}),
        ("accuracy", [0, 0, 2, 1], [0, 1, 2, 1], {"accuracy": 75}),
        ("matthews", [0, 0, 2, 1], [0, 1, 2, 1], {"matthews_corrcoef": 70}),
    ],
)
def test_t5s_own_values(name, targets, predictions, expected):
    assert METRICS[name](targets, predictions) == pytest.approx(expected, abs=1e-9)


def test_groups_of_which_the_first_counts():
    targets = [{"group": "a", "value": 0}, {"group": "a", "value": 0}, {"group": "b", "value": 1}]
    assert deduplicated(accuracy)(targets, [{"value": 0}, {"value": 1}, {"value": 0}]) == {"accuracy": 50.0}


def test_multirc():
    targets = [{"group": g, "value": v} for g, v in (("a", 1), ("a", 1), ("b", 0))]
    predictions = [{"value": v} for v in (1, 0, 1)]
    assert METRICS["multirc_f1"](targets, predictions) == {"f1": pytest.approx(50)}
    assert METRICS["multirc_exact"](targets, predictions) == {"exact_match": 0}
    assert METRICS["multirc_exact"](targets, [{"value": v} for v in (1, 0, 0)]) == {"exact_match": 50}
    assert METRICS["multirc_exact"](targets, [{"value": v} for v in (1, 1, 0)]) == {"exact_match": 100}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("`Needs\tA_LOT of the 'normalization'.\"‘", "needs alot of normalization‘"),
        ("needs no normalization", "needs no normalization"),
        ("The  an a", ""),
        ("Theatre, an ANT!", "theatre ant"),
    ],
)
def test_squads_normal_form(text, normal):
    assert normalise(text) == normal


# ---- Values of T5's data, and references of our own


@pytest.fixture(scope="module")
def summaries(shared_data):
    folder = shared_data / "metrics"
    texts = [(folder / f"{n}_large.txt").read_text(encoding="utf-8").splitlines() for n in ("target", "prediction")]
    assert len(texts[0]) == len(texts[1]) == 1_000
    return texts


def test_rouge_equals_t5s_values(summaries, shared_data):
    expected = json.loads((shared_data / "metrics" / "expected_bootstrap_results.json").read_text())
    # Theirs is the median of 1,000 bootstrap samples, which is random; 0.1 is well within what they accept themselves.
    assert METRICS["rouge"](*summaries) == pytest.approx(expected, abs=0.1)


def _f_measure(target: list, prediction: list) -> float:
    both = sum((collections.Counter(target) & collections.Counter(prediction)).values())
    return 2 * both / (len(target) + len(prediction)) if both else 0.0


def test_rouge_1_and_2_equal_their_definition(summaries):
    wanted = {1: [], 2: []}
    for target, prediction in zip(*summaries):
        words = [re.findall(r"[a-z0-9]+", text.lower()) for text in (target, prediction)]
        for n, scores in wanted.items():
            scores.append(_f_measure(*([tuple(w[i : i + n]) for i in range(len(w) - n + 1)] for w in words)))
    found = METRICS["rouge"](*summaries)
    assert [found["rouge1"], found["rouge2"]] == pytest.approx([100 * np.mean(wanted[n]) for n in (1, 2)], abs=1e-9)


def _common_subsequence(a: list[str], b: list[str]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


def test_rouge_l_of_one_sentence_is_by_longest_common_subsequence():
    target, prediction = "the cat sat on a red mat", "a cat on the mat sat red"
    wanted = 100 * 2 * _common_subsequence(target.split(), prediction.split()) / 14
    assert METRICS["rouge"]([target], [prediction])["rougeLsum"] == pytest.approx(wanted)


def test_rouge_lsum_breaks_sentences_where_t5_does():
    # As one sentence the two halves cross, and only one of them is a common subsequence; as two, both are found.
    target, swapped = "one two three . four five six", "four five six . one two three"
    assert METRICS["rouge"]([target], [swapped])["rougeLsum"] == pytest.approx(100)
    apart = [text.replace(" . ", " ") for text in (target, swapped)]
    assert METRICS["rouge"]([apart[0]], [apart[1]])["rougeLsum"] == pytest.approx(50)


def test_rouge_lsum_breaks_sentences_on_both_sides():
    from rouge_score.rouge_scorer import RougeScorer

    rng, scorer = random.Random(0), RougeScorer(["rougeLsum"])
    for _ in range(20):
        texts = [[" ".join(rng.choices("abcdef", k=5)) for _ in range(3)] for _ in range(2)]
        wanted = scorer.score(*("\n".join(lines) for lines in texts))["rougeLsum"].fmeasure
        target, prediction = (" . ".join(lines) for lines in texts)
        assert METRICS["rouge"]([target], [prediction])["rougeLsum"] == pytest.approx(100 * wanted)


def _bleu(references: list[str], hypotheses: list[str]) -> float:
    """BLEU of Papineni et al. 2002 over text split at spaces; the k-th order without a match counts 1/(2^k · total)."""
    right, total, smoothing = np.zeros(4), np.zeros(4), 1.0
    for reference, hypothesis in zip(references, hypotheses):
        r, h = reference.split(), hypothesis.split()
        for n in range(1, 5):
            grams = [collections.Counter(tuple(w[i : i + n]) for i in range(len(w) - n + 1)) for w in (r, h)]
            right[n - 1] += sum((grams[0] & grams[1]).values())
            total[n - 1] += max(len(h) - n + 1, 0)
    precisions = []
    for matched, count in zip(right, total):
        if not matched:
            smoothing *= 2
        precisions.append(matched / count if matched else 1 / (smoothing * count))
    lengths = [sum(len(text.split()) for text in side) for side in (references, hypotheses)]
    penalty = min(1.0, np.exp(1 - lengths[0] / lengths[1]))
    return float(100 * penalty * np.exp(np.mean(np.log(precisions))))


@pytest.mark.parametrize("name", ["bleu", "bleu_intl"])
def test_bleu_equals_its_formula(name):
    rng = random.Random(0)
    words = ["ein", "haus", "am", "see", "und", "der", "Hund"]
    references = [" ".join(rng.choices(words, k=rng.randint(5, 15))) for _ in range(40)]
    hypotheses = [" ".join(rng.choices(r.split(), k=rng.randint(5, 12))) for r in references]
    assert value(name, references, hypotheses) == pytest.approx(_bleu(references, hypotheses))
    # Of one short pair orders without a match are smoothed exponentially.
    pair = ["der Hund am see und am haus"], ["see Hund der Hund haus"]
    assert 0 < value(name, *pair) == pytest.approx(_bleu(*pair))


def test_bleu_is_cased_and_international_tokens_split_unicode_punctuation():
    assert value("bleu", ["Ein Haus am See"], ["ein haus am see"]) < 20
    target, prediction = "«Ja» — sagte er noch heute", "« Ja » — sagte er noch heute"
    assert value("bleu_intl", [target], [prediction]) == pytest.approx(100)
    assert value("bleu", [target], [prediction]) < 80


def test_bleu_with_several_references_of_unequal_number():
    references = [["the cat sat on the mat", "a cat was on the mat"], ["dogs bark at night loudly"]]
    assert value("bleu", references, ["a cat was on the mat", "dogs bark at night loudly"]) == pytest.approx(100)
    assert value("bleu", references, ["the cat sat on the mat", "cats"]) < 100


# ---- Edge cases


def _counts(targets, predictions):
    pairs = collections.Counter(zip(targets, predictions))
    return pairs[1, 1], pairs[0, 1], pairs[1, 0], pairs[0, 0]


def test_f1_matthews_and_correlations_equal_their_formulas():
    rng = np.random.default_rng(0)
    targets, predictions = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    tp, fp, fn, tn = _counts(targets.tolist(), predictions.tolist())
    assert value("f1", targets, predictions) == pytest.approx(200 * tp / (2 * tp + fp + fn))
    root = np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    assert value("matthews", targets, predictions) == pytest.approx(100 * (tp * tn - fp * fn) / root)
    x, y = rng.normal(size=50), rng.normal(size=50)
    assert value("pearson", x, y) == pytest.approx(100 * np.corrcoef(x, y)[0, 1])
    ranks = np.argsort(np.argsort(x)), np.argsort(np.argsort(y))
    assert value("spearman", x, y) == pytest.approx(100 * np.corrcoef(*ranks)[0, 1])


def test_f1_counts_an_invalid_prediction_as_the_wrong_class():
    assert value("f1", [1, 0, 1, 0], [1, 0, -1, -1]) == value("f1", [1, 0, 1, 0], [1, 0, 0, 1]) == pytest.approx(50)


def test_f1_leaves_the_callers_predictions_alone():
    predictions = np.array([1, -1])
    METRICS["f1"]([1, 1], predictions)
    assert predictions.tolist() == [1, -1]


@pytest.mark.parametrize("name", ["f1", "mean_3_class_f1", "matthews"])
def test_nothing_predicted_rightly_is_zero_without_a_warning(name, recwarn):
    assert value(name, [1, 1, 1], [0, 0, 0]) == 0
    assert not recwarn.list


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_constant_prediction_correlates_with_nothing(name, recwarn):
    assert value(name, [1.0, 2.0, 3.0], [-1.0, -1.0, -1.0]) == 0
    assert not recwarn.list


def test_mean_f1_counts_an_invalid_prediction_as_missed():
    assert value("mean_3_class_f1", [0, 1, 2], [0, 1, -1]) == pytest.approx(200 / 3)


def test_record_judges_a_question_once_and_by_its_best_answer():
    targets = [{"group": (0, 1), "value": ["A cat", "dogs"]}] * 2 + [{"group": (0, 2), "value": ["x y"]}]
    predictions = [{"value": "the Dogs!"}, {"value": "no"}, {"value": "x"}]
    assert METRICS["record"](targets, predictions) == pytest.approx({"em": 50, "f1": (100 + 200 / 3) / 2})


def test_hidden_labels_are_no_crash():
    """Predictions for a test split are made to be sent away; its metrics mean nothing, and must not lose them."""
    grouped = [{"group": 0, "value": []}], [{"group": 0, "value": "a"}]
    assert value("f1", [-1, -1], [0, 1]) == value("accuracy", [-1, -1], [0, 1]) == 0
    assert METRICS["record"](*grouped) == {"em": 0, "f1": 0}


def test_exact_match_ignores_white_space_at_the_ends_and_nothing_else():
    assert value("exact_match", ["a b", "c", "d", "E"], [" a b\n", "c", "d d", "e"]) == 50


def test_squad_takes_a_single_answer_as_a_whole():
    assert METRICS["squad"](["cat food", "dog"], ["c", "the dog"]) == pytest.approx({"em": 50, "f1": 50})


def test_metrics_of_text_judge_text():
    targets, predictions = ["B-a b c d", "e B-f g h"], ["B-a b c d", "B-x"]
    for name in TEXT_METRICS:
        found = METRICS[name](targets, predictions)
        assert all(isinstance(v, float) and 0 <= v < 100 for v in found.values()), (name, found)
        assert all(v == pytest.approx(100) for v in METRICS[name](targets, targets).values()), name


def test_all_results_are_plain_floats():
    grouped = [{"group": i, "value": v} for i, v in enumerate((0, 1))]
    arguments = {
        "multirc_f1": (grouped, grouped),
        "multirc_exact": (grouped, grouped),
        "record": ([{"group": 0, "value": ["a"]}], [{"group": 0, "value": "b"}]),
    }
    for name, metric in METRICS.items():
        targets, predictions = arguments.get(name, (["0", "1"],) * 2 if name in TEXT_METRICS else ([0, 1], [0, 1]))
        assert {type(v) for v in metric(targets, predictions).values()} == {float}, name
