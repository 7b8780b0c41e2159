"""Generated ids equal those of Hugging Face's generate(), for a grid of its arguments.

The golden folders are those that the PyTorch models wrote, with what they generated; where PyTorch is installed others
are made, with other weights and inputs.
"""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from generation import CASES, MODELS, OPTIONS, inputs

from t2t import pretrained
from t2t.errors import ConfigError, DataError
from t2t.pretrained.generate import settings_of

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture(scope="module", params=["golden", pytest.param("live", marks=pytest.mark.pytorch)])
def folder_of(request, tmp_path_factory):
    """name → a folder that transformers wrote, with results.npz in it."""
    if request.param == "golden":
        return lambda name: GOLDEN / f"generate_{name}"
    import generation_peer

    made: dict = {}

    def live(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            generation_peer.write(name, made[name], seed=11)
        return made[name]

    return live


@pytest.mark.parametrize(("name", "option"), CASES)
def test_ids_are_those_of_transformers(folder_of, name, option):
    folder = folder_of(name)
    results = dict(np.load(folder / "results.npz"))
    given = {k.removeprefix("given:"): v for k, v in results.items() if k.startswith("given:")}
    found = pretrained.load(folder).generate_ids(**given, **OPTIONS[name][option])
    np.testing.assert_array_equal(found, results[option])


def golden(name):
    return pretrained.load(GOLDEN / f"generate_{name}")


def test_the_options_do_change_what_is_generated():
    """None of the golden results of a model is another's."""
    for name in MODELS:
        results = dict(np.load(GOLDEN / f"generate_{name}" / "results.npz"))
        texts = {option: results[option].tolist() for option in OPTIONS[name]}
        same = [(a, b) for a in texts for b in texts if a < b and texts[a] == texts[b]]
        assert not same, (name, same)


def test_padding_is_told_by_its_id():
    generate, given = golden("gpt2_with_pad").generate_ids, inputs("gpt2_with_pad")
    expected = np.load(GOLDEN / "generate_gpt2_with_pad" / "results.npz")["greedy"]
    np.testing.assert_array_equal(generate(input_ids=given["input_ids"], max_new_tokens=9), expected)


def test_what_the_decoder_begins_with_may_be_given():
    generate, given = golden("bart").generate_ids, inputs("bart")
    given |= {"decoder_start_token_id": 9, "eos_token_id": None, "forced_eos_token_id": None}
    one = generate(**given, max_new_tokens=6)
    again = generate(**given, max_new_tokens=4, decoder_input_ids=one[:, :3])
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(again, generate(**given, max_new_tokens=4, decoder_input_ids=one[:, 1:3]))


def test_where_there_are_fewer_hypotheses_than_beams_there_is_padding():
    forced = {"max_new_tokens": 3, "num_beams": 2, "num_return_sequences": 2, "forced_bos_token_id": 2}
    found = golden("bart").generate_ids(**inputs("bart"), **forced)
    assert found.tolist() == [[2, 2], [2, 1]] * 3  # the start, and the end or padding


def test_samples_differ_and_are_drawn_alike_from_a_seed():
    generate, given = golden("gpt2").generate_ids, inputs("gpt2")
    settings = dict(max_new_tokens=8, do_sample=True, top_k=0, temperature=2.0, num_return_sequences=5)
    found = generate(**given, **settings)
    assert found.shape[0] == 15
    np.testing.assert_array_equal(found[:, :6], np.repeat(given["input_ids"], 5, axis=0))
    assert len({tuple(row) for row in found[:5]}) > 1
    np.testing.assert_array_equal(found, generate(**given, **settings))
    assert (found[:, :8] != generate(**given, **settings, seed=1)[:, :8]).any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_beam": 2}, ConfigError, "Unknown argument 'num_beam'. Did you mean 'num_beams'"),
        ({"num_return_sequences": 2}, ConfigError, "num_return_sequences: method 'greedy' gives 1 at most, found 2"),
        ({"num_beams": 2, "do_sample": True}, ConfigError, "do_sample with num_beams above 1 is not here"),
        ({"typical_p": 0.9}, ConfigError, "typical_p is not here, found 0.9: give typical_p=1.0"),
        ({"bad_words_ids": [[3, 4]]}, ConfigError, "bad_words_ids of several tokens are not here"),
        ({"input_ids": None}, DataError, "input_ids: expected rows of ids"),
        ({"input_ids": [3, 4]}, DataError, r"input_ids: expected rows of ids, \[b n\], found int64 \(2,\)"),
        ({"input_ids": [[3.5]]}, DataError, "input_ids: expected rows of ids"),
        ({"input_ids": [[3, 19]]}, DataError, "input_ids: expected ids from 0 to 18, found 3 to 19"),
        ({"max_length": 6}, DataError, "begins with 6 tokens, and max_length leaves no room"),
        ({"attention_mask": [[1, 1, 1, 1, 1, 0]] * 3}, DataError, "prompts are padded on the left"),
    ],
)
def test_what_cannot_be_is_an_error(arguments, error, message):
    given = {**inputs("gpt2"), **arguments}
    with pytest.raises(error, match=message):
        golden("gpt2").generate_ids(**given)


def test_settings_are_of_the_arguments_then_of_the_folder_then_of_its_decoder():
    values = {
        "num_beams": 3,
        "eos_token_id": 5,
        "top_k": None,
        "decoder": {"num_beams": 2, "pad_token_id": 4, "top_k": 7},
    }
    found = settings_of(values, {"eos_token_id": None, "top_p": 0.5, "num_beams": None})
    expected = {"num_beams": 3, "eos_token_id": (), "pad_token_id": 4, "top_k": 7, "top_p": 0.5, "max_length": None}
    assert {name: found[name] for name in expected} == expected


def test_an_encoder_does_not_generate():
    with pytest.raises(DataError, match="An encoder does not generate text"):
        pretrained.load(GOLDEN / "bert").generate_ids(input_ids=[[3, 4]])


@pytest.mark.parametrize("generation", [True, False])
def test_defaults_are_of_generation_config_else_of_config(generation, tmp_path):
    model, given = golden("bart_summaries"), inputs("bart_summaries")
    if not generation:  # as old folders
        model.values |= model.generation
        model.generation = None
    pretrained.save(model, tmp_path)
    assert (tmp_path / "generation_config.json").exists() is generation
    expected = np.load(model.folder / "results.npz")["defaults"]
    np.testing.assert_array_equal(pretrained.load(tmp_path).generate_ids(**given), expected)
