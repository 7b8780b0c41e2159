"""Prompts as a decoder reads them, and the lengths that batches are padded to."""

import numpy as np

from t2t.inference.layout import buckets_up_to, left_padded


def test_prompts_end_together_after_their_start_token():
    inputs = np.asarray([[7, 8, 9], [5, 0, 0], [0, 0, 0]])
    found = left_padded(inputs, (inputs > 0).astype(int), both_ways=True)
    assert found["decoder_inputs"].tolist() == [[0, 7, 8, 9], [0, 0, 0, 5], [0, 0, 0, 0]]
    assert found["decoder_segments"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    assert found["decoder_prefix"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_prompts_may_begin_with_another_token_or_with_themselves():
    inputs = np.asarray([[7, 8, 9], [5, 0, 0]])
    segments = (inputs > 0).astype(int)
    found = left_padded(inputs, segments, both_ways=False, start_id=2)
    assert found["decoder_inputs"].tolist() == [[2, 7, 8, 9], [0, 0, 2, 5]]
    found = left_padded(inputs, segments, both_ways=True, start_id=None)
    assert found["decoder_inputs"].tolist() == [[7, 8, 9], [0, 0, 5]]
    assert found["decoder_segments"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert found["decoder_prefix"].tolist() == [[1, 1, 1], [0, 0, 0]]


def test_a_prompt_read_in_one_direction_has_no_prefix():
    assert set(left_padded(np.ones((1, 2), int), np.ones((1, 2), int), both_ways=False)) == {
        "decoder_inputs",
        "decoder_segments",
    }


def test_buckets_double_below_the_limit():
    assert buckets_up_to(100) == (16, 32, 64)
    assert buckets_up_to(64) == (16, 32)
    assert buckets_up_to(10) == ()
