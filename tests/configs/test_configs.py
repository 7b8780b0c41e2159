"""Every recipe builds: its fields exist, its values are possible, its model has parameters."""

import dataclasses
import importlib
import pathlib

import pytest

from launch import script
from t2t.attention import Dense, Sparse, global_tokens, local
from t2t.config import build, difference
from t2t.errors import ConfigError
from t2t.models import param_count
from t2t.training import RunConfig

CONFIGS = pathlib.Path(__file__).resolve().parent.parent.parent / "configs"
NAMES = sorted(p.stem for p in CONFIGS.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_it_builds(name):
    module = importlib.import_module(f"configs.{name}")
    config = build(RunConfig, script.plain(module.get_config()))
    if name not in ("base", "finetune"):  # which need the user's own file
        config.check()
        assert f"--config=configs/{name}.py" in module.__doc__
    sized = dataclasses.replace(
        config.model, vocab_size=config.model.vocab_size or 1024, labels=config.model.labels or 2
    )
    assert 1e5 < param_count(sized) < 1e8


def test_fields_without_a_value_can_be_set():
    from configs import base

    config = base.get_config()
    config.data.data_dir = "/data"
    config.model.head_width = 32
    built = build(RunConfig, script.plain(config))
    assert (built.data.data_dir, built.model.head_width) == ("/data", 32)
    unchanged = build(RunConfig, script.plain(base.get_config()))
    assert set(difference(built, unchanged)) == {"data.data_dir", "model.head_width"}


def test_a_mechanism_is_chosen_by_its_name():
    from configs import base

    config = base.get_config()
    config.lock()
    config.model.attention.name = "sparse"
    config.model.attention.pattern = "local(64) | global_tokens(4)"
    config.model.decoder_attention.name = "dense"
    built = build(RunConfig, script.plain(config))
    assert built.model.attention == Sparse(pattern=local(64) | global_tokens(4))
    assert built.model.decoder_attention == Dense()
    assert build(RunConfig, script.plain(base.get_config())).model.decoder_attention is None
    config.model.attention.pattern = "locl(64)"
    with pytest.raises(ConfigError, match=r"model\.attention: .*'locl', which is none. Did you mean local"):
        build(RunConfig, script.plain(config))
