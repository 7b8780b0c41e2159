"""Plain text files learned under an objective: nothing of the text is lost, and everything follows from the seed."""

import numpy as np
import pytest

from t2t.data import ByteVocabulary, FunctionSource
from t2t.data.config import DataConfig
from t2t.errors import ConfigError, DataError
from t2t.tasks import Objective, Task, from_files
from t2t.tasks.objective import Chunks

VOCABULARY = ByteVocabulary()
LINES = [f"Line {i} says that {'very ' * (i % 7)}little is lost, not even ünïcode." for i in range(60)]


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def examples(path, objective, lengths=(64, 64), split="train"):
    task = from_files(DataConfig(train=str(path), validation=str(path), objective=objective))
    part = task.part(split, VOCABULARY, lengths=lengths)
    return [part.function(part.examples[i], np.random.default_rng(i)) for i in range(len(part.examples))]


def tokens_of(example) -> list[int]:
    """The text of an example, with the spans of the targets put back in the place of their sentinels."""
    inputs, targets = ([int(t) for t in example[side] if t != VOCABULARY.eos_id] for side in ("inputs", "targets"))
    sentinels = [VOCABULARY.sentinel(i) for i in range(30)]  # ids of bytes that no UTF-8 text has
    if not targets or targets[0] not in sentinels:
        return inputs + targets
    spans: dict[int, list[int]] = {}
    for token in targets:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [t for token in inputs for t in spans.get(token, [token])]


@pytest.mark.parametrize("objective", ["causal_lm", "prefix_lm", "span_corruption"])
def test_the_chunks_are_the_text_end_to_end(text_file, objective):
    chunks = [tokens_of(e) for e in examples(text_file, objective)]
    assert len(chunks) > 10
    assert len({len(c) for c in chunks[:-1]}) == 1
    assert VOCABULARY.decode([t for c in chunks for t in c]) == text_file.read_text(encoding="utf-8")


def test_a_masked_lm_hides_some_tokens_and_learns_those(text_file):
    found = examples(text_file, "masked_lm", lengths=(64, 8))
    assert VOCABULARY.decode(np.concatenate([e["targets"] for e in found])) == text_file.read_text(encoding="utf-8")
    for example in found:
        hidden = example["loss_weights"] > 0
        assert 0 < hidden.sum() < len(hidden)
        np.testing.assert_array_equal(example["inputs"][~hidden], example["targets"][~hidden])
    inputs, hidden = (np.concatenate([e[name] for e in found]) for name in ("inputs", "loss_weights"))
    assert (inputs == VOCABULARY.sentinel(0)).sum() / hidden.sum() == pytest.approx(0.8, abs=0.05)


def test_one_long_text_is_cut_into_stretches(text_file):
    task = from_files(DataConfig(train=str(text_file), validation=str(text_file), objective="causal_lm"))
    whole = text_file.read_text(encoding="utf-8")
    part = task.part("train", VOCABULARY, lengths=(8, 8), stretches=5)
    stretches = [part.function(part.examples[i], None)["targets"] for i in range(len(part.examples))]
    held, size = task.evaluation_documents("validation", VOCABULARY, stretches=5)
    for found in (stretches, held):
        assert len(found) == 5
        assert max(map(len, found)) - min(map(len, found)) < 5
        assert VOCABULARY.decode(np.concatenate(found)) == whole
    assert size == len(whole.encode())
    few, size = task.evaluation_documents("validation", VOCABULARY, stretches=5, limit=100)
    assert VOCABULARY.decode(np.concatenate(few)) == "".join(whole.splitlines(True)[:2])
    assert size == sum(map(len, few))


def test_documents_are_read_whole():
    source = FunctionSource({"train": lambda: [{"targets": line} for line in LINES[:4]]})
    task = Task(name="documents", source=source, objective=Objective(kind="causal_lm", documents=True))
    part = task.part("train", VOCABULARY, lengths=(8, 8), stretches=2)
    held, size = task.evaluation_documents("train", VOCABULARY, stretches=2)
    for i, line in enumerate(LINES[:4]):
        wanted = [*VOCABULARY.encode(line), VOCABULARY.eos_id]
        assert part.function(part.examples[i], None)["targets"].tolist() == held[i].tolist() == wanted
    assert size == sum(len(line.encode()) for line in LINES[:4])


def test_span_corruption_fills_the_lengths_it_was_given(text_file):
    whole = examples(text_file, "span_corruption", lengths=(64, 20))[:-1]
    assert {len(e["inputs"]) for e in whole} == {64}
    assert max(len(e["targets"]) for e in whole) <= 20
    assert all(e[side][-1] == VOCABULARY.eos_id for e in whole for side in ("inputs", "targets"))


def test_targets_too_short_for_the_inputs_are_an_error_that_names_the_fix(text_file):
    with pytest.raises(
        DataError,
        match=r"inputs_length 512 makes targets of 114 tokens, more than data.targets_length 64: "
        "set data.targets_length to 114",
    ):
        examples(text_file, "span_corruption", lengths=(512, 64))


def test_causal_lm_has_consecutive_tokens_of_the_text_and_no_inputs(text_file):
    chunks = examples(text_file, "causal_lm", lengths=(64, 33))
    assert all(len(c["inputs"]) == 0 for c in chunks)
    assert {len(c["targets"]) for c in chunks[:-1]} == {32}


def test_the_same_seed_gives_the_same_examples(text_file):
    for objective in ("prefix_lm", "span_corruption"):
        first, again = examples(text_file, objective), examples(text_file, objective)
        assert all(np.array_equal(a[s], b[s]) for a, b in zip(first, again) for s in ("inputs", "targets"))


def test_a_long_document_gives_a_chunk_from_within_anew_each_epoch_and_a_short_one_all():
    document = "".join(chr(ord("a") + i % 26) for i in range(500))
    chunks = Chunks([document, "short"], VOCABULARY, 40, documents=True)
    assert len(chunks) == 2
    assert VOCABULARY.decode(chunks[0]) == document
    objective = Objective(kind="causal_lm", documents=True)
    found = [
        objective.apply(chunks[0], np.random.default_rng(seed), VOCABULARY, chunks.length)["targets"]
        for seed in range(4)
    ]
    assert {len(f) for f in found} == {40}
    assert len({VOCABULARY.decode(f) for f in found}) > 2
    assert all(VOCABULARY.decode(f) in document for f in found)
    short = objective.apply(chunks[1], np.random.default_rng(0), VOCABULARY, chunks.length)
    assert short["targets"].tolist() == [*VOCABULARY.encode("short"), VOCABULARY.eos_id]


def test_the_end_of_lines_is_held_out_where_no_validation_file_is_given(text_file):
    task = from_files(DataConfig(train=str(text_file), objective="causal_lm"))
    train, validation = (
        [task.text(e, np.random.default_rng(0))["targets"] for e in task.raw(s)] for s in ("train", "validation")
    )
    assert train + validation == LINES
    assert len(validation) == 3
    assert task.metric_functions() == []


@pytest.mark.parametrize("kind", ["causal_lm", "prefix_lm", "span_corruption"])
def test_one_token_that_nothing_can_be_cut_from_is_learned_as_it_is(kind):
    example = Objective(kind=kind).apply(np.array([77], np.int32), np.random.default_rng(0), VOCABULARY, 8)
    assert example["inputs"].tolist() == []
    assert example["targets"].tolist() == [77]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "span_corupption"}, "Unknown objective 'span_corupption'. Did you mean 'span_corruption'?"),
        ({"kind": "span_corruption", "noise_density": 1.0}, "noise_density: expected more than 0 and less than 1"),
        ({"kind": "span_corruption", "mean_span": 0.5}, "mean_span: expected at least 1, found 0.5"),
    ],
)
def test_objectives_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        Objective(**fields)
