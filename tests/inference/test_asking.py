"""XLNet generates by asking a query; that its ids are transformers' is held by tests/parity/test_generate.py."""

import pathlib

import numpy as np
import pytest

from t2t import pretrained
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


def test_an_encoder_without_queries_does_not_generate():
    with pytest.raises(DataError, match="an encoder does not generate text"):
        pretrained.load(GOLDEN / "bert").generate_ids(input_ids=PROMPTS)


@pytest.mark.parametrize("name", ["xlnet_classes", "gpt2_classes"])
def test_a_model_without_logits_over_the_vocabulary_does_not_generate(name):
    with pytest.raises(DataError, match=r"no logits over the vocabulary, its outputs are \('sequence',\)"):
        pretrained.load(GOLDEN / name).generate_ids(input_ids=PROMPTS)
