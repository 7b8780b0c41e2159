"""Features of batches at seqio's golden cases, and packing that loses nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.data.converters import AskingConverter, DecoderConverter, EncoderConverter, EncoderDecoderConverter
from t2t.data.packing import Packer


def example(inputs, targets):
    return {"inputs": np.asarray(inputs, np.int32), "targets": np.asarray(targets, np.int32)}


def test_encoder_decoder_golden():
    batch = EncoderDecoderConverter(inputs_length=10, targets_length=7)(
        [[example([7, 8, 5, 1], [3, 9, 1]), example([8, 4, 9, 3, 1], [4, 1])]], (10, 7)
    )
    assert batch["encoder_inputs"].tolist() == [[7, 8, 5, 1, 8, 4, 9, 3, 1, 0]]
    assert batch["encoder_segments"].tolist() == [[1, 1, 1, 1, 2, 2, 2, 2, 2, 0]]
    assert batch["encoder_positions"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0]]
    assert batch["targets"].tolist() == [[3, 9, 1, 4, 1, 0, 0]]
    assert batch["decoder_inputs"].tolist() == [[0, 3, 9, 0, 4, 0, 0]]
    assert batch["decoder_segments"].tolist() == [[1, 1, 1, 2, 2, 0, 0]]
    assert batch["decoder_positions"].tolist() == [[0, 1, 2, 0, 1, 0, 0]]
    assert batch["loss_weights"].tolist() == [[1, 1, 1, 1, 1, 0, 0]]


def test_prefix_lm_golden():
    batch = DecoderConverter(inputs_length=5, targets_length=4)([[example([9, 4, 6, 1], [3, 9, 1])]], (9,))
    assert batch["targets"].tolist() == [[9, 4, 6, 1, 3, 9, 1, 0, 0]]
    assert batch["decoder_inputs"].tolist() == [[0, 9, 4, 6, 1, 3, 9, 0, 0]]
    assert batch["loss_weights"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 0, 0]]
    assert batch["decoder_prefix"].tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0]]


def test_language_model_golden():
    converter = DecoderConverter(inputs_length=1, targets_length=6, prefix_attention=False, loss_on_inputs=True)
    batch = converter([[example([], [3, 9, 1]), example([], [4, 1])]], (6,))
    assert batch["decoder_inputs"].tolist() == [[0, 3, 9, 0, 4, 0]]
    assert batch["loss_weights"].tolist() == [[1, 1, 1, 1, 1, 0]]
    assert "decoder_prefix" not in batch
    with_prefix = DecoderConverter(inputs_length=1, targets_length=6)([[example([], [3, 9, 1])]], (6,))
    assert with_prefix["decoder_prefix"].sum() == 0  # without inputs there is no prefix


def test_an_encoder_decoder_may_begin_with_another_token():
    batch = EncoderDecoderConverter(inputs_length=4, targets_length=7, start_id=2)(
        [[example([7], [3, 9, 1]), example([8], [4, 1])]], (4, 7)
    )
    assert batch["decoder_inputs"].tolist() == [[2, 3, 9, 2, 4, 0, 0]]
    assert batch["targets"].tolist() == [[3, 9, 1, 4, 1, 0, 0]]


def test_an_encoder_is_asked_for_its_targets():
    batch = AskingConverter(inputs_length=4, targets_length=5)(
        [[example([7, 8], [3, 9]), example([], [4, 1])], [example([5], [6])]], (7, 5)
    )
    assert batch["encoder_inputs"].tolist() == [[7, 8, 3, 9, 4, 1, 0], [5, 6, 0, 0, 0, 0, 0]]
    assert batch["encoder_segments"].tolist() == [[1, 1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0, 0]]
    assert batch["encoder_targets"].tolist() == [[2, 3, 4, 5, -1], [1, -1, -1, -1, -1]]
    assert batch["targets"].tolist() == [[3, 9, 4, 1, 0], [6, 0, 0, 0, 0]]
    assert batch["loss_weights"].tolist() == [[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]]  # nothing is before the 4
    first = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]  # of the first example: inputs see each other
    assert batch["encoder_mask"][0, :4, :4].astype(int).tolist() == first


def test_what_is_asked_of_is_cut_to_the_whole():
    converter = AskingConverter(inputs_length=3, targets_length=2)
    assert converter.limits == (5, 5)
    assert converter.sizes(example([1, 2, 3, 4], [5, 6])) == (6, 2)
    cut = converter.trim(example([1, 2, 3, 4], [5, 6]), converter.limits)
    assert [len(cut["inputs"]), len(cut["targets"])] == [3, 2]


def test_a_decoder_may_begin_with_another_token():
    batch = DecoderConverter(inputs_length=5, targets_length=4, start_id=6)([[example([9, 4], [3, 1])]], (5,))
    assert batch["decoder_inputs"].tolist() == [[6, 9, 4, 3, 0]]
    assert batch["decoder_prefix"].tolist() == [[1, 1, 1, 0, 0]]


def test_a_decoder_may_begin_with_the_text_itself():
    """Nothing predicts the first token, which takes no room."""
    converter = DecoderConverter(inputs_length=5, targets_length=4, start_id=None)
    rows = [[example([9, 4, 6], [3, 1]), example([], [5, 7, 1]), example([8], [2])]]
    batch = converter(rows, (9,))
    assert [converter.sizes(e) for e in rows[0]] == [(4,), (2,), (1,)]
    assert batch["decoder_inputs"].tolist() == [[9, 4, 6, 3, 5, 7, 8, 0, 0]]
    assert batch["targets"].tolist() == [[4, 6, 3, 1, 7, 1, 2, 0, 0]]
    assert batch["decoder_segments"].tolist() == [[1, 1, 1, 1, 2, 2, 3, 0, 0]]
    assert batch["decoder_positions"].tolist() == [[0, 1, 2, 3, 0, 1, 0, 0, 0]]
    assert batch["loss_weights"].tolist() == [[0, 0, 1, 1, 1, 1, 1, 0, 0]]
    assert batch["decoder_prefix"].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0]]


def test_encoder_golden():
    made = {**example([5, 6, 7], [5, 9, 7]), "loss_weights": [0, 1, 0]}
    batch = EncoderConverter(inputs_length=4)([[made]], (4,))
    assert batch["encoder_inputs"].tolist() == [[5, 6, 7, 0]]
    assert batch["targets"].tolist() == [[5, 9, 7, 0]]
    assert batch["loss_weights"].tolist() == [[0, 1, 0, 0]]


lengths = st.tuples(st.integers(1, 9), st.integers(1, 6))


@settings(deadline=None)
@given(st.lists(lengths, min_size=1, max_size=30), st.integers(1, 5))
def test_packing_loses_nothing_and_never_overflows(sizes, rows):
    generator = np.random.default_rng(0)
    examples = [example(generator.integers(3, 99, n), generator.integers(3, 99, m)) for n, m in sizes]
    converter, packer = EncoderDecoderConverter(inputs_length=9, targets_length=6), Packer(rows, (9, 6))
    fitted = 0
    for e in examples:
        if not packer.add(e, converter.sizes(e)):
            break
        fitted += 1
    assert fitted >= min(rows, len(examples))  # an example always fits into an empty row
    batch = converter(packer.rows, (9, 6))
    found = []
    for row in range(rows):
        for segment in range(1, batch["encoder_segments"][row].max() + 1):
            inside, outside = batch["encoder_segments"][row] == segment, batch["decoder_segments"][row] == segment
            found.append((batch["encoder_inputs"][row][inside].tolist(), batch["targets"][row][outside].tolist()))
            np.testing.assert_array_equal(batch["encoder_positions"][row][inside], np.arange(inside.sum()))
            assert batch["decoder_inputs"][row][outside][0] == 0
            np.testing.assert_array_equal(
                batch["decoder_inputs"][row][outside][1:], batch["targets"][row][outside][:-1]
            )
    given_examples = [(e["inputs"].tolist(), e["targets"].tolist()) for e in examples[:fitted]]
    assert sorted(found) == sorted(given_examples)
