"""`TextModel`: text in, text out; loaded from a run's workdir, batched by length, in the order of the prompts."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from decoding_toys import tiny

import t2t
from t2t.checkpoints import Store
from t2t.config import as_dict
from t2t.data import ByteVocabulary, DataConfig
from t2t.errors import CheckpointError, ConfigError, DataError
from t2t.inference import DecodeConfig, TextModel
from t2t.training import RunConfig

SENTENCES = ["a", "the quick brown fox", "", "jumps over", "häß", "the lazy dog and then some more of it", "b"]


@pytest.fixture(scope="module")
def models() -> dict[str, TextModel]:
    found = {}
    for name in ("t5", "gpt", "prefix"):
        config, _, params = tiny(name, vocab_size=384, seed=1)
        found[name] = TextModel(
            config=config,
            params=params,
            vocabulary=ByteVocabulary(),
            inputs_length=40,
            targets_length=8,
            prefix_attention=name == "prefix",
            decode=DecodeConfig(max_length=6),
            batch_size=3,
        )
    return found


@pytest.mark.parametrize("name", ["t5", "gpt", "prefix"])
def test_answers_come_in_order_whatever_the_batches(models, name):
    model = models[name]
    together = model.generate_all(SENTENCES)
    assert [a[0][0] for a in together] == model.generate(SENTENCES)
    for i in (0, 2, 5, 6):  # of one program for one at a time, and the longest
        ((text, score),) = dataclasses.replace(model, batch_size=1).generate_all([SENTENCES[i]])[0]
        assert text == together[i][0][0]
        assert score == pytest.approx(together[i][0][1], abs=1e-3)
    assert len({a[0][0] for a in together}) > 2


def test_a_prompt_is_drawn_by_its_place_in_the_list(models):
    model = models["t5"]
    wide = dataclasses.replace(model, batch_size=8)
    settings = {"temperature": 2.0, "seed": 3}
    assert model.generate(SENTENCES, **settings) == wide.generate(SENTENCES, **settings)
    assert len(set(model.generate(["a"] * 8, **settings))) > 4
    assert model.generate(SENTENCES, **settings) != model.generate(SENTENCES, temperature=2.0, seed=4)


def test_all_beams_are_returned_best_first(models):
    found = models["t5"].generate_all(["a", "bc"], beams=3)
    assert [len(answers) for answers in found] == [3, 3]
    for answers in found:
        scores = [score for _, score in answers]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({}, "greedy"),
        ({"beams": 2}, "beam"),
        ({"beams": 1}, "greedy"),
        ({"top_p": 0.9}, "sample"),
        ({"top_k": 3}, "sample"),
        ({"temperature": 0.5}, "sample"),
        ({"beams": 3, "method": "greedy"}, "greedy"),
        ({"max_length": 3}, "greedy"),
    ],
)
def test_what_is_asked_for_chooses_the_method(models, changes, method):
    config = models["t5"]._decode_config(changes)
    assert config.method == method
    assert all(getattr(config, name) == value for name, value in changes.items())


def test_progress_counts_up_to_all(models):
    seen = []
    models["t5"].generate(SENTENCES, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_no_prompts_no_answers(models):
    assert models["t5"].generate([]) == []
    assert models["t5"].score([], []) == []


def test_prompts_longer_than_the_limit_are_cut_and_it_is_said(models):
    said = []
    model = dataclasses.replace(models["t5"], report=said.append)
    text = "x" * 60
    answers = model.generate([text, "short", text + "y"])
    assert said == ["2 examples are longer than 40 (inputs) or 8 (targets) tokens and were cut."]
    assert answers == models["t5"].generate(["x" * 39, "short", "x" * 39])


def test_the_prefix_of_training_is_put_before_every_input(models):
    model = dataclasses.replace(models["t5"], prefix="say: ")
    assert model.generate(["abc"]) == models["t5"].generate(["say: abc"])
    assert model.score(["abc"], ["d"]) == pytest.approx(models["t5"].score(["say: abc"], ["d"]), abs=1e-4)


@pytest.mark.parametrize("name", ["t5", "gpt", "prefix"])
def test_scores_are_teacher_forced_sums(models, name):
    """Each against the model applied to that one pair, without padding."""
    model, inputs, targets = models[name], ["abc", "", "a longer input"], ["xy", "z", ""]
    found, per_token = model.score(inputs, targets), model.score(inputs, targets, per_token=True)
    for text, target, score, tokens in zip(inputs, targets, found, per_token):
        prompt = [b + 3 for b in text.encode()] + ([1] if text else [])
        answer = [b + 3 for b in target.encode()] + [1]
        whole = np.array([[0, *prompt, *answer]], np.int32)
        if name == "t5":
            batch = {
                "encoder_inputs": np.array([prompt or [0]], np.int32),
                "decoder_inputs": np.array([[0, *answer[:-1]]], np.int32),
                "encoder_segments": np.array([[1] * len(prompt) or [0]], np.int32),
            }
        else:
            batch = {"decoder_inputs": whole[:, :-1]}
            if name == "prefix" and prompt:
                batch["decoder_prefix"] = np.array([[1] * (len(prompt) + 1) + [0] * (len(answer) - 1)], np.int32)
        logits = np.asarray(model.module.apply({"params": model.params}, batch), np.float64)[0, -len(answer) :]
        logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = logp[np.arange(len(answer)), answer]
        np.testing.assert_allclose(tokens, expected, atol=1e-3)
        assert score == pytest.approx(expected.sum(), abs=2e-3)


@pytest.mark.parametrize("normalise", [False, True])
def test_rank_takes_the_likeliest_choice(models, normalise):
    model, inputs = models["t5"], ["first", "second"]
    choices = [["a", "bb", "ccccc"], ["dddd", "e"]]
    expected = []
    for text, options in zip(inputs, choices):
        scores = [
            s / (len(o) + 1 if normalise else 1) for o, s in zip(options, model.score([text] * len(options), options))
        ]
        expected.append(int(np.argmax(scores)))
    assert model.rank(inputs, choices, normalise=normalise) == expected


def test_length_normalisation_matters(models):
    """Long choices are rarely likelier as wholes, and often are so for each token."""
    model, inputs = models["t5"], [f"question {i}" for i in range(12)]
    choices = [["q", "wwwwwww"]] * 12
    plain, normalised = model.rank(inputs, choices), model.rank(inputs, choices, normalise=True)
    assert sum(plain) < sum(normalised)


def test_a_model_of_plain_text_goes_on_with_it(models):
    """No end of sequence after the prompt, no looking ahead in it, and of a long one its end is what counts."""
    model = dataclasses.replace(
        models["prefix"], continues=True, inputs_length=8, report=lambda text: said.append(text)
    )
    said = []
    text = "the quick brown fox"
    assert model.generate([text]) == model.generate([text[-8:]])
    assert said == ["1 examples are longer than 8 (inputs) or 8 (targets) tokens and were cut."]
    assert model.generate([text]) != dataclasses.replace(model, continues=False).generate([text])
    # The likelihood of a text is the same wherever it is divided.
    whole = model.score([""], ["abcdef"], per_token=True)[0]
    parts = model.score(["abc"], ["def"], per_token=True)[0]
    np.testing.assert_allclose(whole[3:], parts, atol=1e-5)


def test_learned_positions_are_used_to_the_last():
    """A prompt and an answer that fill the model's length exactly fit; of one more token it is said how to mend it."""
    config, _, params = tiny("gpt", vocab_size=384, max_length=24)
    model = TextModel(
        config=config, params=params, vocabulary=ByteVocabulary(), inputs_length=17, prefix_attention=False
    )
    assert len(model.generate(["x" * 16], max_length=7)) == 1
    with pytest.raises(DataError, match=r"learned positions cover max_length 24, found a sequence of 25"):
        model.generate(["x" * 16], max_length=8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.generate("a text"), DataError, r"generate takes a list of texts, found one text"),
        (
            lambda m: m.generate(["a"], beam=4),
            ConfigError,
            r"decode\.beam: Unknown field of DecodeConfig 'beam'\. Did you mean 'beams'",
        ),
        (lambda m: m.generate(["a"], top_p=2.0), ConfigError, r"top_p: expected more than 0 and at most 1, found 2\.0"),
        (lambda m: m.generate(["\ud800"]), DataError, r"unpaired surrogate"),
        (lambda m: m.score(["a", "b"], ["c"]), DataError, r"found 2 inputs and 1 targets"),
        (lambda m: m.rank(["a"], []), DataError, r"rank: expected choices for each of 1 inputs, found 0 lists"),
        (
            lambda m: m.rank(["a", "b"], [["c"], []]),
            DataError,
            r"rank: expected choices for each of 2 inputs, found 2 lists with 0 choices",
        ),
    ],
)
def test_errors_say_what_was_found(models, call, error, message):
    with pytest.raises(error, match=message):
        call(models["t5"])


def test_an_encoder_does_not_generate():
    from t2t.models import ModelConfig

    model = TextModel(
        config=ModelConfig(architecture="encoder", vocab_size=384, width=8, heads=1, mlp_width=8, encoder_layers=1),
        params={},
        vocabulary=ByteVocabulary(),
    )
    with pytest.raises(DataError, match="An encoder does not generate text: use a decoder or an encoder-decoder"):
        model.generate(["a"])


@pytest.fixture
def workdir(tmp_path):
    """A run with three checkpoints whose parameters differ, the second of them the best."""
    config, _, params = tiny("t5", vocab_size=384, seed=1)
    run = RunConfig(
        model=config,
        decode=DecodeConfig(max_length=5, method="beam", beams=2),
        data=DataConfig(inputs_length=24, targets_length=9, prefix="do: ", vocabulary="bytes"),
    )
    vocabulary = ByteVocabulary()
    (tmp_path / "config.json").write_text(json.dumps(as_dict(run)), encoding="utf-8")
    vocabulary.save(tmp_path / "vocabulary")
    store = Store(tmp_path / "checkpoints", keep=5, report=lambda text: None)
    for step, loss in ((10, 3.0), (20, 1.0), (30, 2.0)):
        store.save(
            step,
            jax.tree.map(lambda x, step=step: x * step / 10, params),
            {"count": np.zeros(())},
            {"metrics": {"loss": loss}, "vocabulary": vocabulary.fingerprint(), "continues": False},
        )
    store.close()
    return tmp_path, params


def scale_of(model: TextModel, params) -> float:
    ratios = jax.tree.leaves(
        jax.tree.map(lambda a, b: np.asarray(a / b).mean(where=np.asarray(b) != 0), model.params, params)
    )
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)
    return round(float(ratios[0]), 3)


def test_load_restores_the_run_as_it_was(workdir):
    folder, params = workdir
    model = t2t.load(folder, batch_size=2)
    assert scale_of(model, params) == 3.0
    assert (model.inputs_length, model.targets_length, model.prefix, model.batch_size) == (24, 9, "do: ", 2)
    assert model.decode == DecodeConfig(max_length=5, method="beam", beams=2)
    by_hand = TextModel(
        config=model.config,
        params=jax.tree.map(lambda x: x * 3, params),
        vocabulary=ByteVocabulary(),
        inputs_length=24,
        targets_length=9,
        decode=model.decode,
    )
    assert model.generate(["a", "bb"]) == by_hand.generate(["do: a", "do: bb"])


@pytest.mark.parametrize(("step", "scale"), [(None, 3.0), (10, 1.0), ("best", 2.0)])
def test_load_takes_the_step_that_is_asked_for(workdir, step, scale):
    folder, params = workdir
    assert scale_of(t2t.load(str(folder), step), params) == scale


def test_a_damaged_newest_checkpoint_is_passed_over_aloud(workdir):
    folder, params = workdir
    path = max(
        (p for p in (folder / "checkpoints" / "30" / "params").rglob("*") if p.is_file()),
        key=lambda p: p.stat().st_size,
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    said = []
    assert scale_of(t2t.load(folder, report=said.append), params) == 2.0
    assert len(said) == 1
    assert "step 30 cannot be used" in said[0]
    assert "is damaged" in said[0]
    assert "trying the one before" in said[0]
    with pytest.raises(CheckpointError, match="No checkpoint that was asked for"):
        t2t.load(folder, 30, report=said.append)


def _remove_metrics(folder):
    for path in (folder / "checkpoints").glob("*/meta.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"loss"', '"other"'), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "step", "message"),
    [
        (lambda f: (f / "config.json").unlink(), None, r"There is no run in .*: expected config\.json there"),
        (lambda f: None, 15, r"There is no checkpoint of step 15 in .*There are: 10, 20, 30"),
        (
            lambda f: ByteVocabulary(extra_ids=300).save(f / "vocabulary"),
            None,
            r"has 559 ids, and the model's table 384 rows",
        ),
        (
            lambda f: ByteVocabulary(extra_ids=20).save(f / "vocabulary"),
            None,
            r"is not the vocabulary that step 30 was trained with",
        ),
        (_remove_metrics, "best", r"No checkpoint in .* was saved with an evaluation's 'loss'"),
    ],
)
def test_load_refuses_what_is_not_the_run(workdir, damage, step, message):
    folder, _ = workdir
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        t2t.load(folder, step, report=lambda text: None)


def test_another_models_checkpoint_is_told_as_a_difference(workdir):
    folder, _ = workdir
    run = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    run["model"]["mlp_width"] = 48
    (folder / "config.json").write_text(json.dumps(run), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"≠ .*feed_forward/in/kernel: \[16, 32\] in the checkpoint, \[16, 48\] in the model"
    ):
        t2t.load(folder)


def test_a_text_may_begin_with_itself_or_with_another_start(models):
    """A text without a start token is one whose first token stands in the start's place."""
    first = int(ByteVocabulary().encode("a")[0])
    alone, after = (
        dataclasses.replace(
            models["gpt"], continues=True, config=dataclasses.replace(models["gpt"].config, start_id=start_id)
        )
        for start_id in (None, first)
    )
    prompts, rest, targets = ["abc", "axyz"], ["bc", "xyz"], ["de", "q"]
    assert alone.generate(prompts) == after.generate(rest) != models["gpt"].generate(rest)
    np.testing.assert_allclose(alone.score(prompts, targets), after.score(rest, targets), atol=1e-4)
    (whole,) = alone.score([""], ["abcd"], per_token=True)
    np.testing.assert_allclose(whole, after.score([""], ["bcd"], per_token=True)[0], atol=1e-4)
    with pytest.raises(DataError, match="begins with the text itself: found an empty prompt"):
        alone.generate(["a", ""])


def test_options_of_generation_are_fields_of_a_call(models):
    for text in models["t5"].generate(SENTENCES, no_repeat_ngram_size=1, min_new_tokens=6, forced_bos_id=70):
        assert text.startswith("C")  # 70 − 3
    assert len(models["t5"].generate_all(["a"], beams=4, num_return_sequences=2, length_form="power")[0]) == 2
