"""The registry is open, and says what is wrong with a name; listing it touches no data set."""

import subprocess
import sys

import pytest

from t2t import tasks
from t2t.data import FunctionSource
from t2t.errors import DataError


def make(name: str) -> tasks.Task:
    return tasks.Task(name=name, source=FunctionSource({"train": lambda: [{"inputs": "a", "targets": "b"}]}))


@pytest.fixture
def mine():
    task = tasks.register(make("mine_alone"))
    yield task
    if "mine_alone" in tasks.names():
        tasks.unregister("mine_alone")


def test_a_task_is_found_by_its_name(mine):
    assert tasks.get("mine_alone") is mine
    assert "mine_alone" in tasks.names()
    tasks.unregister("mine_alone")
    assert "mine_alone" not in tasks.names()


def test_a_name_is_taken_only_once(mine):
    with pytest.raises(DataError, match="There is a task named 'mine_alone' already: choose another name"):
        tasks.register(make("mine_alone"))
    with pytest.raises(DataError, match="There is a task named 'mine_alone' already"):
        tasks.register(tasks.Mixture(name="mine_alone", members=(mine,)))
    assert tasks.get("mine_alone") is mine


@pytest.mark.parametrize("look", [tasks.get, tasks.unregister])
def test_an_unknown_name_shows_the_nearest_ones(look):
    with pytest.raises(DataError, match=r"Unknown task or mixture 'glue_sst_v002'\. Did you mean 'glue_sst2_v002' or "):
        look("glue_sst_v002")


def test_names_are_sorted_and_hold_every_built_in_task():
    names = tasks.names()
    assert names == sorted(names)
    glue = {
        f"glue_{n}_v002"
        for n in (
            "cola",
            "sst2",
            "mrpc",
            "qqp",
            "stsb",
            "mnli",
            "mnli_matched",
            "mnli_mismatched",
            "qnli",
            "rte",
            "wnli",
            "ax",
        )
    } | {"glue_wnli_v002_simple_eval"}
    super_glue = {
        f"super_glue_{n}_v102" for n in ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "axb", "axg")
    }
    others = {
        "super_glue_wsc_v102_simple_train",
        "super_glue_wsc_v102_simple_eval",
        "dpr_v001_simple",
        "squad_v010_allanswers",
        "cnn_dailymail_v002",
        "wmt_t2t_ende_v003",
        "wmt15_enfr_v003",
        "wmt16_enro_v003",
        "c4_v220_span_corruption",
        "c4_v220_prefix_lm",
        "glue_v002_proportional",
        "super_glue_v102_proportional",
    }
    assert glue | super_glue | others <= set(names)


def test_listing_tasks_loads_neither_tfds_nor_tensorflow_nor_a_metric_library():
    code = (
        "import sys; from t2t import tasks; from t2t.tasks import inspection; "
        "[inspection.row(tasks.get(n)) for n in tasks.names()]; "
        "print([m for m in ('tensorflow_datasets', 'tensorflow', 'sklearn', 'scipy', 'sacrebleu', 'rouge_score') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_metric_and_evaluation_split_of_a_built_in_task_exists():
    for name in tasks.names():
        entry = tasks.get(name)
        if isinstance(entry, tasks.Mixture):
            continue
        assert entry.metric_functions() is not None
        assert entry.splits, name
        assert entry.evaluation_split in entry.splits or set(entry.splits) in ({"test"}, {"train"}), name
