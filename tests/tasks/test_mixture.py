"""Mixtures: rates as stated, whatever they are nested in, and what a stream then draws."""

import collections

import numpy as np
import pytest

from t2t import tasks
from t2t.data import ByteVocabulary, FunctionSource
from t2t.data.stream import make_streams
from t2t.errors import DataError
from t2t.tasks import Mixture, Task, tasks_of
from t2t.tasks.registry import example_count


def task(name: str, count: int = 1, splits=("train",)) -> Task:
    return Task(
        name=name,
        source=FunctionSource({s: lambda: [{"inputs": name, "targets": str(i)} for i in range(count)] for s in splits}),
    )


def shares(mixture: Mixture) -> dict[str, float]:
    return {t.name: share for t, share in tasks_of(mixture)}


def of_counts(counts, **settings) -> list[float]:
    members = tuple(task(f"t{i}", n) for i, n in enumerate(counts))
    return list(shares(Mixture(name="m", members=members, **settings)).values())


A, B, C = task("a", 10), task("b", 30), task("c", 60)


def test_explicit_and_equal_rates():
    assert shares(Mixture(name="m", members=(A, B), rates=(1.0, 3.0))) == {"a": 0.25, "b": 0.75}
    equal = shares(Mixture(name="m", members=(A, B, C), rates="equal"))
    assert equal == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_rates_in_proportion_to_examples():
    assert of_counts([10, 30, 60], limit=None) == pytest.approx([0.1, 0.3, 0.6])
    assert of_counts([10, 30, 60], limit=20) == pytest.approx([0.2, 0.4, 0.4])


def test_the_temperature_comes_after_the_limit():
    assert of_counts([4, 16, 100], limit=None, temperature=2) == pytest.approx(np.array([2, 4, 10]) / 16)
    assert of_counts([4, 16, 100], limit=36, temperature=2) == pytest.approx(np.array([2, 4, 6]) / 12)
    assert of_counts([4, 100], limit=None, temperature=1e9) == pytest.approx([0.5, 0.5])


def test_the_limit_comes_after_the_scale():
    # min(n·scale, K): with the scale last, the first two would have equal shares.
    assert of_counts([10, 20, 40], limit=15, scale=0.5) == pytest.approx(np.array([5, 10, 15]) / 30)
    assert of_counts([10, 20], limit=15, scale=2, temperature=2) == pytest.approx([0.5, 0.5])


def test_the_default_limit_is_t5s():
    assert Mixture(name="m", members=("a",)).limit == 524_288
    assert Mixture(name="m", members=("a", "b")).shares([2**18, 2**22]) == pytest.approx([1 / 3, 2 / 3])


def test_nested_mixtures_are_flattened_and_shares_multiply():
    inner = Mixture(name="inner", members=(A, B), rates=(1.0, 3.0))
    outer = Mixture(name="outer", members=(inner, C), rates=(2.0, 2.0))
    assert shares(outer) == pytest.approx({"a": 0.125, "b": 0.375, "c": 0.5})


def test_a_task_that_comes_twice_has_both_shares():
    inner = Mixture(name="inner", members=(A, B), rates="equal")
    assert shares(Mixture(name="outer", members=(inner, A), rates="equal")) == pytest.approx({"a": 0.75, "b": 0.25})


def test_a_nested_mixture_counts_as_many_examples_as_its_tasks_each_up_to_the_limit():
    inner = Mixture(name="inner", members=(B, C), rates="equal")
    assert example_count(inner, None, None) == 90
    outer = Mixture(name="outer", members=(A, inner), limit=40)
    assert example_count(inner, 40, None) == 70
    # K holds for the member as a whole too.
    assert shares(outer) == pytest.approx({"a": 10 / 50, "b": 20 / 50, "c": 20 / 50})


def test_what_is_only_evaluated_needs_no_training_split():
    inner = Mixture(name="inner", members=(A, task("only_test", splits=("test",))), rates=(1.0, 0.0))
    assert shares(Mixture(name="outer", members=(inner, B))) == pytest.approx({"a": 0.25, "only_test": 0.0, "b": 0.75})


def test_members_may_be_named():
    tasks.register(task("mixture_member", 5))
    try:
        found = shares(Mixture(name="m", members=("mixture_member", A)))
        assert found == pytest.approx({"mixture_member": 1 / 3, "a": 2 / 3})
    finally:
        tasks.unregister("mixture_member")
    with pytest.raises(DataError, match="Unknown task or mixture 'mixture_membre'"):
        shares(Mixture(name="m", members=("mixture_membre", A)))


def test_a_mixture_that_contains_itself_is_an_error_that_shows_the_circle():
    tasks.register(Mixture(name="circle_a", members=(A, "circle_b"), rates="equal"))
    tasks.register(Mixture(name="circle_b", members=("circle_a", B)))
    try:
        with pytest.raises(DataError, match="'circle_a' is a member of itself: circle_a → circle_b → circle_a"):
            tasks_of(tasks.get("circle_a"))
    finally:
        tasks.unregister("circle_a")
        tasks.unregister("circle_b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": ()}, "Mixture 'm': expected at least one member, found none"),
        ({"rates": "equals"}, "Mixture 'm', rates: expected 'equal', 'proportional' or numbers, found 'equals'"),
        ({"rates": (1.0,)}, r"Mixture 'm': expected 2 rates, none below 0 and not all 0, found \(1.0,\)"),
        ({"rates": (1.0, -1.0)}, "none below 0"),
        ({"rates": (0.0, 0.0)}, "not all 0"),
        ({"temperature": 0.0}, "Mixture 'm', temperature: expected more than 0, found 0.0"),
    ],
)
def test_impossible_mixtures_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        Mixture(**{"name": "m", "members": (A, B), **settings})


def test_a_stream_draws_each_task_by_its_share():
    mixture = Mixture(name="m", members=(task("x", 7), task("y", 11), task("z", 13)), rates=(1.0, 2.0, 5.0))
    vocabulary = ByteVocabulary()
    parts = [t.part("train", vocabulary, lengths=(16, 16), rate=share) for t, share in tasks_of(mixture)]
    (stream,) = make_streams(parts, seed=0)
    drawn = [vocabulary.decode(stream[i]["inputs"]) for i in range(800)]
    for end in (40, 80, 400, 800):
        found = collections.Counter(drawn[:end])
        assert [found[name] for name in "xyz"] == pytest.approx([end / 8, end / 4, end * 5 / 8], abs=3)


# Raffel et al. 2020 and T5's tables of rates.
def test_t5s_glue_mixture():
    found = shares(tasks.get("glue_v002_proportional"))
    total = 8_551 + 67_349 + 3_668 + 363_849 + 5_749 + 392_702 + 104_743 + 2_490
    assert found["glue_mnli_v002"] == pytest.approx(392_702 / total)
    assert found["glue_rte_v002"] == pytest.approx(2_490 / total)
    evaluated = {n for n, share in found.items() if share == 0}
    assert evaluated == {"glue_mnli_matched_v002", "glue_mnli_mismatched_v002", "glue_ax_v002"}
    assert not any("wnli" in name for name in found)


def test_t5s_super_glue_mixture():
    found = shares(tasks.get("super_glue_v102_proportional"))
    total = 1_322 + 259 + 9_427 + 250 + 400 + 27_243 + 138_854 + 2_490 + 5_428
    assert found["dpr_v001_simple"] == pytest.approx(1_322 / total)
    assert found["super_glue_wsc_v102_simple_train"] == pytest.approx(259 / total)
    assert found["super_glue_record_v102"] == pytest.approx(138_854 / total)
    evaluated = {n for n, share in found.items() if share == 0}
    assert evaluated == {"super_glue_wsc_v102_simple_eval", "super_glue_axb_v102", "super_glue_axg_v102"}


def test_t5s_supervised_mixture_caps_at_2_to_the_19_and_halves_rte():
    found = shares(tasks.get("t5_supervised_proportional"))
    unit = found["glue_cola_v002"] / 8_551
    wanted = {
        "wmt_t2t_ende_v003": 2**19,
        "wmt15_enfr_v003": 2**19,
        "wmt16_enro_v003": 2**19,
        "cnn_dailymail_v002": 287_113,
        "squad_v010_allanswers": 87_599,
        "glue_qqp_v002": 363_849,
        "glue_rte_v002": 1_245,
        "super_glue_rte_v102": 1_245,
        "super_glue_wsc_v102_simple_eval": 0,
    }
    assert {name: found[name] / unit for name in wanted} == pytest.approx(wanted)
    assert sum(found.values()) == pytest.approx(1)
