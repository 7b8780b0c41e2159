"""A task from raw examples to text and tokens: in ten lines, filtered, random, expanded, and evaluated."""

import functools
import pickle

import numpy as np
import pytest

from t2t import tasks
from t2t.data import ByteVocabulary, FileSource, FunctionSource
from t2t.data.converters import EncoderDecoderConverter
from t2t.data.loader import Layout, Loader
from t2t.data.stream import make_streams
from t2t.errors import DataError
from t2t.tasks import Objective, Task
from t2t.tasks import task as task_module

VOCABULARY = ByteVocabulary()
LENGTHS = (32, 32)


def in_memory(examples, splits=("train",)):
    return FunctionSource({s: lambda: list(examples) for s in splits})


def numbers(count: int, **settings) -> Task:
    return Task(
        name="numbers",
        source=in_memory([{"n": i} for i in range(count)], ("train", "validation")),
        **{"preprocessors": (as_text,), **settings},
    )


def as_text(example):
    return {**example, "inputs": f"n{example['n']}", "targets": str(example["n"])}


def drawn(task: Task, count: int, seed: int = 0) -> list:
    (stream,) = make_streams([task.part("train", VOCABULARY, lengths=LENGTHS)], seed=seed)
    return [stream[i] for i in range(count)]


def decoded(example) -> tuple[str, str]:
    return VOCABULARY.decode(example["inputs"]), VOCABULARY.decode(example["targets"])


def test_the_task_of_the_docstring_works(tmp_path, monkeypatch):
    (tmp_path / "words.txt").write_text("stone\nwater\n")
    (tmp_path / "held_out.txt").write_text("glass\n")
    monkeypatch.chdir(tmp_path)
    code = task_module.__doc__.split("whole:\n", 1)[1]
    lines = [line[4:] for line in code.splitlines()]
    exec("\n".join(lines), {})
    try:
        task = tasks.get("reverse")
        texts, examples = task.evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)
        assert [(t["inputs"], t["targets"]) for t in texts] == [("reverse: glass", "ssalg")]
        assert [decoded(e) for e in examples] == [("reverse: glass", "ssalg")]
        assert {decoded(e) for e in drawn(task, 4)} == {("reverse: stone", "enots"), ("reverse: water", "retaw")}
        assert [m(["ssalg"], ["ssalg"]) for m in task.metric_functions()] == [{"exact_match": 100.0}]
    finally:
        tasks.unregister("reverse")
    body = [line for line in lines if line.strip() and not line.startswith(("from", "def", "    return"))]
    assert len(body) <= 10


def test_tokens_end_with_the_end_of_sequence_and_no_inputs_stay_none():
    task = Task(name="t", source=in_memory([{"inputs": "ab", "targets": ""}, {"targets": "c"}]))
    _, (with_inputs, without) = task.evaluation_examples("train", VOCABULARY, lengths=LENGTHS)
    assert with_inputs["inputs"].tolist() == [ord("a") + 3, ord("b") + 3, 1]
    assert with_inputs["targets"].tolist() == [1]
    assert without["inputs"].tolist() == []
    assert without["targets"].tolist() == [ord("c") + 3, 1]
    assert {e[side].dtype for e in (with_inputs, without) for side in e} == {np.dtype(np.int32)}


def test_preprocessors_run_in_their_order_and_keep_the_other_fields():
    def double(example):
        return {**example, "n": 2 * example["n"]}

    task = numbers(3, preprocessors=(double, as_text))
    texts, _ = task.evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)
    assert texts == [{"n": 2 * i, "inputs": f"n{2 * i}", "targets": str(2 * i)} for i in range(3)]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            {"inputs": "a"},
            r"Task 'bad': expected text in 'targets' after the preprocessors, found None among \['inputs'\]",
        ),
        ({"inputs": "a", "targets": 3}, "expected text in 'targets' after the preprocessors, found 3"),
        ({"inputs": b"a", "targets": "b"}, "expected text in 'inputs' after the preprocessors, found b'a'"),
    ],
)
def test_a_task_that_does_not_end_in_text_is_an_error(made, message):
    task = Task(name="bad", source=in_memory([{}]), preprocessors=(lambda example: made,))
    with pytest.raises(DataError, match=message):
        task.evaluation_examples("train", VOCABULARY, lengths=LENGTHS)


def test_an_unknown_split_is_an_error_that_names_task_and_splits():
    with pytest.raises(DataError, match=r"Task 'numbers': Unknown split 'validaton'\. Did you mean 'validation'\?"):
        numbers(1).raw("validaton")


def test_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="Task 'numbers': The split 'train' is empty"):
        numbers(0).raw("train")


# ---- Filters


def even_only(example):
    return as_text(example) if example["n"] % 2 == 0 else None


def test_filtered_examples_are_left_out_of_evaluation():
    task = numbers(7, preprocessors=(even_only,))
    texts, examples = task.evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)
    assert [t["targets"] for t in texts] == [VOCABULARY.decode(e["targets"]) for e in examples] == ["0", "2", "4", "6"]


def test_filtered_examples_are_counted_in_training():
    part = numbers(10, preprocessors=(even_only,)).part("train", VOCABULARY, lengths=LENGTHS)
    converter = EncoderDecoderConverter(inputs_length=LENGTHS[0], targets_length=LENGTHS[1])
    layout = Layout(converter=converter, batch_size=2, packing=False)
    with Loader(make_streams([part], seed=0), layout) as loader:
        seen = [VOCABULARY.decode(row) for _ in range(20) for row in next(loader)[0]["targets"]]
        assert set(seen) == set("02468")
        read = loader.statistics
        assert read.filtered / (read.filtered + read.examples) == pytest.approx(0.5, abs=0.15)


def test_a_task_whose_examples_are_all_filtered_says_so():
    task = numbers(3, preprocessors=(lambda example: None,))
    with pytest.raises(DataError, match="Task 'numbers', split 'validation': no example is left after the preproc"):
        task.evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)


# ---- Randomness


def jitter(example, generator):
    return {"inputs": f"n{example['n']}", "targets": str(int(generator.integers(0, 10**9)))}


class Jitter:
    def method(self, example, generator):
        return jitter(example, generator)

    def plain(self, example):
        return as_text(example)

    def __call__(self, example, generator):
        return jitter(example, generator)


def jitter_with_settings(most, example, generator):
    return {"inputs": f"n{example['n']}", "targets": str(int(generator.integers(0, most)))}


def optional_setting(example, prefix="p"):
    return {"inputs": f"{prefix}{example['n']}", "targets": ""}


def test_random_preprocessors_follow_from_seed_example_and_epoch():
    first, again, other = (drawn(numbers(20, preprocessors=(jitter,)), 40, seed) for seed in (0, 0, 1))
    assert [decoded(e) for e in first] == [decoded(e) for e in again]
    assert sorted(decoded(e) for e in first) != sorted(decoded(e) for e in other)
    epochs = [dict(decoded(e) for e in first[i : i + 20]) for i in (0, 20)]
    assert set(epochs[0]) == set(epochs[1]) == {f"n{i}" for i in range(20)}
    assert all(epochs[0][n] != epochs[1][n] for n in epochs[0])


def test_random_choices_of_evaluation_are_fixed_and_differ_between_examples():
    task = numbers(9, preprocessors=(jitter,))
    whole, part = (task.evaluation_examples("validation", VOCABULARY, lengths=LENGTHS, limit=n)[0] for n in (None, 4))
    assert whole[:4] == part
    assert len({t["targets"] for t in whole}) == 9


@pytest.mark.parametrize(
    "function",
    [
        Jitter(),
        Jitter().method,
        functools.partial(jitter_with_settings, 10**9),
        lambda example, generator: jitter(example, generator),
    ],
)
def test_whatever_takes_two_arguments_gets_a_generator(function):
    (first,) = numbers(1, preprocessors=(function,)).evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)[0]
    assert first["targets"].isdigit()


@pytest.mark.parametrize(
    ("function", "inputs"),
    [(Jitter().plain, "n0"), (optional_setting, "p0"), (functools.partial(optional_setting, prefix="q"), "q0")],
)
def test_what_needs_one_argument_gets_one(function, inputs):
    (first,) = numbers(1, preprocessors=(function,)).evaluation_examples("validation", VOCABULARY, lengths=LENGTHS)[0]
    assert first["inputs"] == inputs


# ---- One raw example → several


def digits(example):
    return [{"n": int(d)} for d in str(example["n"])]


def test_an_expanded_split_is_read_at_any_index():
    task = Task(
        name="digits", source=in_memory([{"n": 12}, {"n": 3}, {"n": 456}]), expand=digits, preprocessors=(as_text,)
    )
    raw = task.raw("train")
    assert [raw[i]["n"] for i in range(len(raw))] == [1, 2, 3, 4, 5, 6]
    assert [raw[i]["n"] for i in (5, 0, 3)] == [6, 1, 4]
    with pytest.raises(IndexError):
        raw[6]
    texts, _ = task.evaluation_examples("train", VOCABULARY, lengths=LENGTHS)
    assert [t["targets"] for t in texts] == list("123456")
    assert sorted(decoded(e)[1] for e in drawn(task, 6)) == list("123456")


def test_an_example_may_expand_to_none():
    task = Task(
        name="few",
        source=in_memory([{"n": 0}, {"n": 7}, {"n": 0}]),
        preprocessors=(as_text,),
        expand=lambda example: [example] if example["n"] else [],
    )
    raw = task.raw("train")
    assert [raw[i] for i in range(len(raw))] == [{"n": 7}]


# ---- The rest


def test_the_limit_takes_the_first_examples():
    texts, examples = numbers(5).evaluation_examples("validation", VOCABULARY, lengths=LENGTHS, limit=2)
    assert [t["n"] for t in texts] == [0, 1]
    assert len(examples) == 2
    assert len(numbers(5).evaluation_examples("validation", VOCABULARY, lengths=LENGTHS, limit=99)[0]) == 5


def test_each_epoch_has_every_example_once_in_a_new_order():
    seen = [decoded(e)[1] for e in drawn(numbers(30), 60)]
    assert sorted(seen[:30], key=int) == sorted(seen[30:], key=int) == [str(i) for i in range(30)]
    assert seen[:30] != seen[30:]


def test_a_task_goes_to_worker_processes():
    task = Task(name="t", source=FunctionSource({"train": _one_example}), preprocessors=(as_text, Jitter()))
    part = pickle.loads(pickle.dumps(task.part("train", VOCABULARY, lengths=LENGTHS)))
    assert VOCABULARY.decode(part.function(part.examples[0], np.random.default_rng(0))["inputs"]) == "n5"


def _one_example():
    return [{"n": 5}]


def test_metrics_may_be_named_or_given():
    def mine(targets, predictions):
        return {"mine": float(len(targets))}

    task = numbers(1, metrics=("exact_match", mine))
    assert [f(["a"], ["a"]) for f in task.metric_functions()] == [{"exact_match": 100.0}, {"mine": 1.0}]


def test_a_file_source_is_read_by_split(tmp_path):
    (tmp_path / "t.tsv").write_text("q\ta\nwho\tme\n")
    source = FileSource({"train": str(tmp_path / "t.tsv")}, columns=("q", "a"))
    task = Task(name="qa", source=source, preprocessors=(lambda e: {"inputs": e["q"], "targets": e["a"]},))
    assert task.splits == ("train",)
    assert [decoded(e) for e in drawn(task, 1)] == [("who", "me")]


def test_a_task_of_plain_text_learns_chunks_of_it():
    lines = [{"inputs": "", "targets": "abcdefghij"}] * 6
    task = Task(name="text", source=in_memory(lines), objective=Objective(kind="causal_lm"))
    texts, examples = task.evaluation_examples("train", VOCABULARY, lengths=(16, 33))
    assert "".join(t["targets"] for t in texts) == "abcdefghij\n" * 6
    assert [len(e["targets"]) for e in examples] == [32, 32, 2]
    assert all(len(e["inputs"]) == 0 for e in examples)
