"""A public folder with text in and text out: generate, score and encode are what the arrays' calls say."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import linen as nn

import t2t
from t2t import families, folders
from t2t.errors import CheckpointError, DataError
from t2t.models import build, dummy_batch

SMALL = {"vocab_size": 384, "width": 16, "heads": 2, "head_width": 8, "mlp_width": 24}
CONFIGS = {
    "t5": ("t5_v1_1_small", {"encoder_layers": 2, "decoder_layers": 1}),
    "bart": ("bart_base", {"encoder_layers": 1, "decoder_layers": 2, "max_length": 64}),
    "gpt2": ("gpt2_small", {"decoder_layers": 2, "max_length": 64, "start_id": None}),
    "roberta": ("roberta_base", {"encoder_layers": 2, "max_length": 64}),
}
TEXTS = ["the first", "naïve 🙂", "a third one that is longer"]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """family → a folder with random parameters and ByT5's tokenizer."""
    made = {}

    def of(family):
        if family not in made:
            size, changes = CONFIGS[family]
            config = dataclasses.replace(families.get(size), **SMALL, **changes)
            params = nn.meta.unbox(build(config).init(jax.random.key(3), dummy_batch(config))["params"])
            params = jax.tree.map(lambda p: 5.0 * p, params)
            made[family] = tmp_path_factory.mktemp(family)
            folders.save(made[family], config, params, family=family)
            settings = json.dumps({"tokenizer_class": "ByT5Tokenizer"})
            (made[family] / "tokenizer_config.json").write_text(settings)
        return made[family]

    return of


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_what_is_generated_is_what_the_ids_say(folder_of, family):
    model = t2t.load(folder_of(family))
    answers = model.generate(TEXTS, max_length=7)
    for text, answer in zip(TEXTS, answers):
        ids = [model.vocabulary.sequence(text)]
        found = model.generate_ids(input_ids=ids, max_new_tokens=7)[0][1:]
        assert answer == model.vocabulary.decode(found)


def test_a_decoder_goes_on_with_its_prompt(folder_of):
    model = t2t.load(folder_of("gpt2"))
    answers = model.generate(TEXTS, max_length=7)
    for text, answer in zip(TEXTS, answers):
        ids = [model.vocabulary.encode(text)]
        found = model.generate_ids(input_ids=ids, max_new_tokens=7, eos_token_id=1)[0][len(ids[0]) :]
        assert answer == model.vocabulary.decode(found)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_scores_are_the_losses_of_a_call(folder_of, family):
    model = t2t.load(folder_of(family))
    inputs, targets = ["question", "another"], ["answer", "one more"]
    for score, text, target in zip(model.score(inputs, targets), inputs, targets):
        ids, labels = [model.vocabulary.sequence(text)], [model.vocabulary.sequence(target, target=True)]
        loss = model(input_ids=np.array(ids), labels=np.array(labels)).loss
        np.testing.assert_allclose(score, -loss * len(labels[0]), rtol=1e-4)


@pytest.mark.parametrize("family", CONFIGS)
def test_states_of_texts_are_those_of_a_call_with_each_alone(folder_of, family):
    model = t2t.load(folder_of(family))
    for text, states in zip(TEXTS, model.encode(TEXTS, batch_size=2)):
        ids = np.array([model.vocabulary.encode_for_model(text).ids])
        alone = model.states(input_ids=ids)
        assert states.shape == (ids.shape[1], 16)
        np.testing.assert_allclose(states, alone[0], atol=1e-4)


def test_it_is_saved_with_its_tokenizer(folder_of, tmp_path):
    model = t2t.load(folder_of("t5"))
    t2t.save(model, tmp_path / "out")
    again = t2t.load(tmp_path / "out")
    assert again.generate(TEXTS, max_length=5) == model.generate(TEXTS, max_length=5)


def test_mistakes(folder_of, tmp_path):
    model = t2t.load(folder_of("t5"))
    with pytest.raises(DataError, match="Did you mean 'input_ids'"):
        model(inputs_ids=np.ones((1, 4), np.int32), labels=np.ones((1, 4), np.int32))
    with pytest.raises(DataError, match="found neither"):
        model(input_ids=np.ones((1, 4), np.int32))
    with pytest.raises(DataError, match="put it in brackets"):
        model.encode("one text")
    with pytest.raises(DataError, match="found a sequence of 65"):
        t2t.load(folder_of("gpt2"))(input_ids=np.ones((1, 65), np.int32))
    with pytest.raises(DataError, match="input_ids: expected integers, found float64"):
        model(input_ids=np.ones((1, 4)), labels=np.ones((1, 4), np.int32))
    with pytest.raises(AttributeError, match="Did you mean 'logits'"):
        model(input_ids=np.ones((1, 4), np.int32), labels=np.ones((1, 4), np.int32)).logit  # noqa: B018
    with pytest.raises(DataError, match="step 3 is of a run's checkpoints"):
        t2t.load(folder_of("t5"), step=3)
    with pytest.raises(CheckpointError, match="There is no run in"):
        t2t.load(tmp_path)
