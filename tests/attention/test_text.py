"""Patterns read from text, drawn and costed."""

import numpy as np
import pytest

from t2t.attention import (
    Sparse,
    bidirectional,
    big_bird,
    blocks,
    causal,
    dilated,
    draw,
    fixed,
    global_tokens,
    local,
    parse,
    prefix,
    random_blocks,
    strided,
    summaries,
    where,
)

ALL = [
    bidirectional(),
    causal() & (local(128) | strided(128)),
    ~fixed(16, 4) | local(3, after=1),
    blocks(8) & ~global_tokens(2),
    summaries(8, 2),
    prefix(5),
    dilated(4, 3),
    big_bird(4, 20),
    random_blocks(4, 2, 20, seed=1),
]


@pytest.mark.parametrize("pattern", ALL, ids=lambda p: repr(p)[:40])
def test_text_and_pattern_are_inverse(pattern):
    assert parse(repr(pattern)) == pattern
    assert hash(parse(repr(pattern))) == hash(pattern)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("locl(3)", "'locl', which is none. Did you mean local"),
        ("local(3", "cannot be read"),
        ("local(1.5)", "has '1.5' in it"),
        ("local(3) + local(4)", "expected patterns"),
        ("__import__('os')", "which is none"),
        ("local.window", "expected patterns"),
        ("3", "Expected a pattern such as"),
        ("local(3) & 4", "expected patterns"),
        ("local(0)", "a whole number of at least 1, found 0"),
        ("local(1, 2, 3)", "cannot be made"),
        ("fixed(8, 9)", "count of at most length 8, found 9"),
    ],
)
def test_what_is_no_pattern_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_drawing_one_can_check_by_eye():
    assert draw(causal() & local(2), 4) == "█▄··\n··█▄".replace("··█▄", "·▀█▄")
    assert repr(draw(causal(), 2)) == "█▄"
    assert draw(causal(), 3, 2) == "█▄\n▀▀"
    assert draw(causal() & strided(2), 4)._repr_svg_().count("<rect") == 1 + 6


@pytest.mark.parametrize("pattern", ALL, ids=lambda p: repr(p)[:40])
def test_costs_are_counted_exactly(pattern):
    cost = pattern.cost(77, 90)
    assert cost.pairs == pattern.mask(77, 90).sum()
    assert cost.computed >= cost.pairs
    assert cost.dense_pairs == 77 * 90
    assert cost.flops(64) == 256 * cost.pairs
    assert cost.flops(64, backward=True) == 14 * 64 * cost.pairs


def test_costs_at_the_sparse_transformers_setting():
    """The ratios of pairs to dense causal attention at n = 12,288, l = 128, c = 32."""
    dense = causal().cost(12_288).pairs

    def ratio(pattern):
        return dense / (causal() & pattern).cost(12_288).pairs

    assert dense == 12_288 * 12_289 // 2
    np.testing.assert_allclose(ratio(local(128)), 48.3, atol=0.1)
    np.testing.assert_allclose(ratio(strided(128)), 126.7, atol=0.1)
    np.testing.assert_allclose(ratio(local(128) | strided(128)), 35.1, atol=0.1)
    np.testing.assert_allclose(ratio(fixed(128, 32)), 3.88, atol=0.01)


def test_a_mechanism_holds_its_pattern_as_text_where_it_can():
    assert Sparse(pattern=local(8) | strided(8)) == Sparse(pattern="local(8)|strided(8)")
    assert Sparse(pattern=local(8)).pattern == "local(8)"
    assert Sparse(pattern=[local(8), "strided(4)"]).patterns == (local(8), strided(4))
    own = where(lambda i, j: i == j)
    assert Sparse(pattern=own).patterns == (own,)
    with pytest.raises(ValueError, match="Did you mean strided"):
        Sparse(pattern="stride(8)")
