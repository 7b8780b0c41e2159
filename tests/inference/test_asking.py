"""XLNet generates by asking a query; that its ids are transformers' is held by tests/parity/test_generate.py."""

import pathlib

import jax
import numpy as np
import pytest

from t2t import pretrained
from t2t.data import ByteVocabulary
from t2t.errors import DataError

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
PROMPTS = np.random.default_rng(3).integers(3, 17, (3, 5))
BEAMS = {"max_new_tokens": 7, "num_beams": 3, "num_return_sequences": 2}


@pytest.mark.parametrize("name", ["xlnet", "xlnet_memory"])
def test_scanned_layers_generate_the_same(name):
    folder = GOLDEN / f"generate_{name}"
    one, other = (pretrained.load(folder, stacking=s).generate_ids for s in ("unrolled", "scanned"))
    np.testing.assert_array_equal(one(input_ids=PROMPTS, **BEAMS), other(input_ids=PROMPTS, **BEAMS))


def test_rows_do_not_know_of_each_other():
    generate = pretrained.load(GOLDEN / "generate_xlnet").generate_ids
    every = generate(input_ids=PROMPTS, max_new_tokens=7)
    for row, expected in zip(PROMPTS, every):
        alone = generate(input_ids=row[None], max_new_tokens=7)[0]
        np.testing.assert_array_equal(alone, expected[: len(alone)])


@pytest.fixture(scope="module", params=["xlnet", "xlnet_memory"])
def writer(request):
    model = pretrained.load(GOLDEN / f"generate_{request.param}")
    model.vocabulary = ByteVocabulary()  # it has none of its own, and knows fewer ids than there are bytes
    return model


@pytest.mark.parametrize("options", [{"max_length": 7}, {"max_length": 7, "beams": 3, "length_form": "power"}])
def test_padding_is_not_read_where_texts_are_gone_on_with(writer, options):
    model = writer.text
    examples = [{"inputs": np.asarray(ids, np.int32)} for ids in ([3, 5, 9, 4], [7], [8, 3, 3, 11, 4, 5, 6], [4, 9])]
    decode = model._decode_config(options)
    together = model.decode_examples(examples, decode)
    for example, (tokens, scores) in zip(examples, together):
        alone, its_scores = model.decode_examples([example], decode)[0]
        np.testing.assert_array_equal(tokens, alone)
        np.testing.assert_allclose(scores, its_scores, atol=1e-4)
        if writer.config.attention.reuse is None:  # of which transformers would remember no more
            given = {"num_beams": decode.beams if decode.method == "beam" else 1, "eos_token_id": 1}
            ids = writer.generate_ids(input_ids=example["inputs"][None], max_new_tokens=7, **given)[0]
            new = ids[len(example["inputs"]) :]
            np.testing.assert_array_equal(new, tokens[0, : len(new)])


def test_scores_are_those_of_queries_one_by_one(writer):
    model = writer.text
    examples = [([3, 5, 9, 4], [8, 3, 7]), ([7], [4, 5]), ([], [9, 6, 4]), ([5, 3], [11])]
    found = model.score_examples([{"inputs": np.int32(i), "targets": np.int32(t)} for i, t in examples])
    for (inputs, targets), (scores, right) in zip(examples, found):
        every = np.asarray([*inputs, *targets])
        counted = range(max(len(inputs), 1), len(every))  # a text's first token has nothing before it
        assert len(scores) == len(right) == len(counted)
        places = np.arange(len(every))
        unseen = (places[None, :] >= places[:, None]) & (places[None, :] >= len(inputs))
        for place, score in zip(counted, scores):
            logits = writer(
                input_ids=every[None],
                perm_mask=unseen[None].astype(np.float32),
                target_mapping=np.eye(len(every), dtype=np.float32)[None, place : place + 1],
            ).logits[0, 0]
            assert score == pytest.approx(float(jax.nn.log_softmax(logits)[every[place]]), abs=1e-5)


def test_an_encoder_without_queries_does_not_generate():
    with pytest.raises(DataError, match="An encoder does not generate text"):
        pretrained.load(GOLDEN / "bert").generate_ids(input_ids=PROMPTS)


@pytest.mark.parametrize("name", ["xlnet_classes", "gpt2_classes"])
def test_a_model_without_logits_over_the_vocabulary_neither_generates_nor_scores(name):
    model, told = pretrained.load(GOLDEN / name), r"no logits over the vocabulary, its outputs are \('sequence',\)"
    model.vocabulary = ByteVocabulary()
    with pytest.raises(DataError, match=told):
        model.generate_ids(input_ids=PROMPTS)
    with pytest.raises(DataError, match=told):
        model.generate(["a"])
    with pytest.raises(DataError, match=told):
        model.score(["a"], ["b"])
