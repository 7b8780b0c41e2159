"""Span corruption: T5's numbers, and the text can always be put together again."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.data import ByteVocabulary
from t2t.errors import ConfigError, DataError
from t2t.objectives import span_corruption
from t2t.objectives.span_corruption import lengths, noise_mask, replace_spans

FIRST_SENTINEL = 100_000


def sentinel(i: int) -> int:
    return FIRST_SENTINEL - i


def runs(mask) -> list[tuple[bool, int]]:
    return [(bool(value), len(list(group))) for value, group in itertools.groupby(mask)]


def pieces(tokens) -> list[tuple[int | None, list[int]]]:
    """What follows each sentinel; what comes before the first follows None."""
    out: list[tuple[int | None, list[int]]] = [(None, [])]
    for token in tokens:
        if token > FIRST_SENTINEL // 2:
            out.append((int(token), []))
        else:
            out[-1][1].append(int(token))
    return out


def reconstruct(inputs, targets) -> list[int]:
    """The text: every sentinel of the inputs with what follows it in the targets put in its place."""
    missing = dict(pieces(targets)[1:])
    return [t for name, kept in pieces(inputs) for t in [*missing.get(name, []), *kept]]


@pytest.mark.parametrize(
    ("inputs", "raw", "targets", "spans"),
    [
        (128, 141, 29, 7),
        (256, 284, 58, 14),
        (512, 568, 114, 28),
        (1024, 1137, 229, 57),
        (2048, 2274, 456, 114),
        (4096, 4550, 910, 227),
    ],
)
def test_lengths_are_those_of_t5(inputs, raw, targets, spans):
    assert lengths(inputs) == (raw, targets, spans)


@pytest.mark.parametrize(("mean_span", "expected"), [(2.0, (70, 22)), (1.0, (63, 27))])
def test_lengths_are_those_of_t5s_own_test(mean_span, expected):
    assert lengths(64, 0.2, mean_span)[:2] == expected


def test_at_half_density_targets_are_no_longer_than_inputs():
    for inputs_length in range(8, 200):
        assert lengths(inputs_length, 0.5, 3.0)[1] <= inputs_length


def test_inputs_too_short_for_any_text():
    with pytest.raises(ConfigError, match="inputs_length 1 is too short for span corruption: expected at least"):
        lengths(1)


@pytest.mark.parametrize("inputs_length", [128, 256, 512, 1024])
def test_a_chunk_of_the_raw_length_fills_its_inputs(inputs_length):
    raw, targets_length, spans = lengths(inputs_length)
    inputs, targets = span_corruption(np.arange(raw), np.random.default_rng(1), sentinel)
    assert (len(inputs) + 1, len(targets) + 1) == (inputs_length, targets_length)  # with their ends of sequence
    assert np.sum(inputs > FIRST_SENTINEL // 2) == spans


def test_the_mask_of_t5s_test_has_the_same_make_up():
    mask = noise_mask(32, np.random.default_rng(0), 0.25, 2.0)
    assert mask.sum() == 8
    assert sum(noise for noise, _ in runs(mask)) == 4


# 190 and 350 round up in single precision, in which T5 multiplies, and down in double; 10, 30, 50 are halves: to even.
@pytest.mark.parametrize(
    ("length", "noise"), [(10, 2), (30, 4), (50, 8), (190, 29), (350, 53), (568, 85), (2, 1), (3, 1)]
)
def test_noise_rounds_as_in_t5(length, noise):
    assert noise_mask(length, np.random.default_rng(0)).sum() == noise


@given(st.integers(2, 700), st.floats(0.0, 1.0), st.floats(1.0, 20.0), st.integers(0, 2**32))
def test_masks_begin_kept_end_with_noise_and_have_the_stated_runs(length, density, mean_span, seed):
    mask = noise_mask(length, np.random.default_rng(seed), density, mean_span)
    assert mask.shape == (length,)
    assert mask.dtype == bool
    found = runs(mask)
    assert not found[0][0]
    assert found[-1][0]
    noise = min(max(round(float(np.float32(length) * np.float32(density))), 1), length - 1)
    assert mask.sum() == noise
    spans = max(round(float(np.float32(noise) / np.float32(mean_span))), 1)
    assert len(found) == 2 * min(spans, length - noise, noise)


@pytest.mark.parametrize(("density", "kept"), [(0.0, 39), (1.0, 1)])
def test_extreme_densities_keep_one_token_on_each_side(density, kept):
    inputs, targets = span_corruption(np.arange(40), np.random.default_rng(0), sentinel, density)
    assert inputs.tolist() == [*range(kept), FIRST_SENTINEL]
    assert targets.tolist() == [FIRST_SENTINEL, *range(kept, 40)]


def test_every_segmentation_is_equally_likely():
    generator = np.random.default_rng(0)
    counts = collections.Counter(tuple(noise_mask(8, generator, 0.5, 2.0).tolist()) for _ in range(9_000))
    assert len(counts) == 9  # three ways to split four kept tokens into two runs, times three for four of noise
    assert all(800 < n < 1_200 for n in counts.values())


def test_replaced_spans_are_those_of_t5s_test():
    tokens, mask = np.arange(10, 16), np.array([1, 1, 0, 0, 1, 0], bool)
    assert replace_spans(tokens, mask, lambda i: 999 - i).tolist() == [999, 12, 13, 998, 15]
    assert replace_spans(tokens, ~mask, lambda i: 999 - i).tolist() == [10, 11, 999, 14, 998]
    assert tokens.tolist() == [10, 11, 12, 13, 14, 15]  # untouched


@given(
    st.lists(st.integers(0, 999), min_size=2, max_size=300),
    st.floats(0.0, 1.0),
    st.floats(1.0, 10.0),
    st.integers(0, 2**32),
)
def test_the_text_can_be_put_together_again(tokens, density, mean_span, seed):
    inputs, targets = span_corruption(np.array(tokens), np.random.default_rng(seed), sentinel, density, mean_span)
    assert reconstruct(inputs, targets) == tokens


@given(st.integers(2, 300), st.floats(0.0, 1.0), st.integers(0, 2**32))
def test_both_sides_have_the_same_sentinels_descending_and_none_ends_the_targets(length, density, seed):
    inputs, targets = span_corruption(np.arange(length), np.random.default_rng(seed), sentinel, density)
    of_inputs, of_targets = ([name for name, _ in pieces(side)[1:]] for side in (inputs, targets))
    assert of_inputs == of_targets == [sentinel(i) for i in range(len(of_inputs))]
    assert targets[0] == sentinel(0)
    assert targets[-1] < FIRST_SENTINEL // 2
    assert inputs[-1] == of_inputs[-1]


def test_the_same_generator_gives_the_same_corruption():
    tokens = np.arange(300)
    first, again, other = (span_corruption(tokens, np.random.default_rng(s), sentinel) for s in (7, 7, 8))
    assert [a.tolist() for a in first] == [a.tolist() for a in again]
    assert first[0].tolist() != other[0].tolist()


def test_golden_corruption():
    """A change here changes what every run with a given seed is trained on."""
    inputs, targets = span_corruption(np.arange(20), np.random.default_rng(0), sentinel, 0.3, 2.0)
    assert inputs.tolist() == [0, 1, 2, 100_000, 6, 7, 8, 9, 10, 11, 12, 13, 99_999, 15, 16, 17, 99_998]
    assert targets.tolist() == [100_000, 3, 4, 5, 99_999, 14, 99_998, 18, 19]


def test_dtype_and_argument_are_kept():
    tokens = np.arange(50, dtype=np.int32)
    inputs, targets = span_corruption(tokens, np.random.default_rng(0), sentinel)
    assert inputs.dtype == targets.dtype == np.int32
    assert tokens.tolist() == list(range(50))


def test_more_spans_than_sentinels_is_an_error_that_names_the_fix():
    vocabulary = ByteVocabulary()
    raw, _, spans = lengths(1_810)  # the first inputs length at which T5's code runs into its text pieces
    assert spans == 101
    with pytest.raises(
        DataError, match=r"needs sentinel 100, and the vocabulary has 100: use shorter inputs, longer spans"
    ):
        span_corruption(np.arange(raw), np.random.default_rng(0), vocabulary.sentinel)
    span_corruption(np.arange(raw), np.random.default_rng(0), vocabulary.sentinel, mean_span=20.0)


def test_as_many_sentinels_as_spans_are_enough():
    raw, _, spans = lengths(1_809)
    assert spans == 100
    inputs, _ = span_corruption(np.full(raw, 5), np.random.default_rng(0), ByteVocabulary().sentinel)
    assert inputs[inputs != 5].tolist() == list(range(258, 158, -1))


def test_byte_sentinels_are_the_last_byte_ids_descending():
    inputs, targets = span_corruption(np.arange(3, 43), np.random.default_rng(0), ByteVocabulary().sentinel)
    assert inputs[inputs > 42].tolist() == targets[targets > 42].tolist() == [258, 257]
