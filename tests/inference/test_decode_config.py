"""`DecodeConfig` refuses what cannot be, saying what was expected and found."""

import pytest

from t2t.config import build
from t2t.errors import ConfigError
from t2t.inference import DecodeConfig


def test_defaults_are_greedy_and_t5s_beams():
    config = DecodeConfig()
    assert (config.method, config.beams, config.length_penalty) == ("greedy", 4, 0.6)
    assert hash(config) == hash(DecodeConfig())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "beams"}, r"decode\.method: Unknown choice 'beams'\. Did you mean 'beam'\?"),
        ({"max_length": 0}, r"decode: max_length: expected at least 1, found 0"),
        ({"beams": 0}, r"decode: beams: expected at least 1, found 0"),
        ({"temperature": 0.0}, r"temperature: expected more than 0, found 0\.0; for no chance at all, method 'greedy'"),
        ({"temperature": -1}, r"temperature: expected more than 0, found -1"),
        ({"top_k": -1}, r"top_k: expected 0 \(for all\) or more, found -1"),
        ({"top_p": 0.0}, r"top_p: expected more than 0 and at most 1, found 0\.0"),
        ({"top_p": 1.5}, r"top_p: expected more than 0 and at most 1, found 1\.5"),
        ({"length_penalty": -0.5}, r"length_penalty: expected 0 or more, found -0\.5: less needs length_form 'power'"),
        ({"num_return_sequences": 0}, r"num_return_sequences: expected at least 1, found 0"),
        ({"num_return_sequences": 2}, r"num_return_sequences: method 'greedy' gives 1 at most, found 2"),
        (
            {"num_return_sequences": 5, "method": "beam"},
            r"num_return_sequences: method 'beam' gives 4 at most, found 5",
        ),
        ({"early_stopping": "soon"}, r"decode\.early_stopping: expected bool or 'never', found 'soon'"),
        ({"repetition_penalty": 0.0}, r"repetition_penalty: expected more than 0, found 0\.0; 1 for none"),
        ({"no_repeat_ngram_size": -1}, r"no_repeat_ngram_size: expected 0 or more, found -1"),
        ({"min_new_tokens": -2}, r"min_new_tokens: expected 0 or more, found -2"),
        ({"forced_bos_id": -3}, r"forced_bos_id: expected 0 or more, found -3"),
        ({"forced_eos_id": -1}, r"forced_eos_id: expected 0 or more, found -1"),
        ({"beam": 3}, r"decode\.beam: Unknown field of DecodeConfig 'beam'\. Did you mean 'beams'"),
        ({"max_length": "10"}, r"decode\.max_length: expected int, found str '10'"),
    ],
)
def test_errors_name_the_field(values, message):
    with pytest.raises(ConfigError, match=message):
        build(DecodeConfig, values, "decode")
