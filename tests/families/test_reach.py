"""What configs of long and banded models say of who sees whom."""

import numpy as np
import pytest

from t2t import families
from t2t.attention import Dense, Longformer, Sparse, causal, local
from t2t.errors import ConfigError, DataError
from t2t.families.turns import shortest_turn, window_of

SMALL = {"vocab_size": 11, "hidden_size": 4}
GPT_NEO = {**SMALL, "model_type": "gpt_neo", "max_position_embeddings": 9, "num_layers": 4, "num_heads": 2}
LONGFORMER = {
    **SMALL, "model_type": "longformer", "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 6,
    "max_position_embeddings": 9,
}  # fmt: skip


def read(values):
    return families.FAMILIES[values["model_type"]].read(values, ())


@pytest.mark.parametrize(
    ("kinds", "turn"), [("aaaa", "a"), ("abab", "ab"), ("abaab", "abaab"), ("aabaab", "aab"), ("a", "a")]
)
def test_the_shortest_turn(kinds, turn):
    assert shortest_turn(kinds) == turn


def test_a_window_and_nothing_else():
    assert window_of(Sparse(pattern="local(7)")) == 7
    for other in (Dense(), Sparse(pattern=local(7, after=2)), Sparse(pattern="causal()"), Longformer(window=7)):
        assert window_of(other) is None


def test_gpt_neos_layers_take_turns():
    near = Sparse(pattern=local(5))
    for types, expected in (
        ([[["global", "local"], 2]], (Dense(), near)),
        ([[["global"], 4]], Dense()),
        ([[["local"], 2], [["global"], 2]], (near, near, Dense(), Dense())),
    ):
        config = read({**GPT_NEO, "attention_types": types, "window_size": 5})
        assert config.attention == expected
        assert read({**GPT_NEO, **families.FAMILIES["gpt_neo"].write(config)}) == config
    with pytest.raises(ConfigError, match="attention_types name 3 layers.*num_layers 4 of global, local"):
        read({**GPT_NEO, "attention_types": [[["global"], 3]]})
    with pytest.raises(ConfigError, match=r"\['far'\]"):
        read({**GPT_NEO, "attention_types": [[["far"], 4]]})


def test_longformers_windows_are_of_both_sides():
    assert read({**LONGFORMER, "attention_window": 6}).attention == Longformer(window=4)
    assert read({**LONGFORMER, "attention_window": [2, 4, 2, 4]}).attention == (
        Longformer(window=2),
        Longformer(window=3),
    )
    for wrong in (5, [4, 4], [4, 4, 4, 0]):
        with pytest.raises(ConfigError, match="expected an even number of at least 2 for each"):
            read({**LONGFORMER, "attention_window": wrong})


def test_what_a_longformer_takes_for_global():
    more, ids = families.FAMILIES["longformer"].calls.more, np.array([[0, 5, 2, 2, 6, 7, 2], [0, 5, 8, 2, 2, 7, 2]])

    def of(task):
        config = read({**LONGFORMER, "architectures": [f"LongformerFor{task}"]})
        return more({"input_ids": ids}, config, LONGFORMER).get("encoder_global_tokens")

    np.testing.assert_array_equal(of("SequenceClassification"), [[1, 0, 0, 0, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(of("QuestionAnswering"), [[1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(of("MultipleChoice"), [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1]])
    assert of("MaskedLM") is None
    ids[0, 2] = 5
    with pytest.raises(DataError, match="expects three separators.*found .2, 3.: give global_attention_mask"):
        of("QuestionAnswering")


def test_gpt_3s_layers_alternate():
    assert families.get("gpt3_175b").attention == (Dense(), Sparse(pattern=local(256)))
    assert (causal() & local(256)).mask(600)[599].sum() == 256
