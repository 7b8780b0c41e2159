"""What DeBERTa's folders leave unsaid, and what is refused of them. That all else is right is in tests/parity."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from t2t import folders
from t2t.errors import ConfigError
from t2t.families import FAMILIES

VALUES = {
    "model_type": "deberta-v2",
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 4,
    "max_position_embeddings": 16,
    "relative_attention": True,
    "pos_att_type": "p2c|c2p",
}


def test_published_folders_do_not_say_how_their_head_is_named(repository, tmp_path):
    golden, published, saved = repository / "tests/golden/deberta_v3", tmp_path / "published", tmp_path / "saved"
    published.mkdir()
    values = json.loads((golden / "config.json").read_text())
    for key in ("legacy", "architectures"):
        del values[key]
    (published / "config.json").write_text(json.dumps(values))
    tensors = load_file(golden / "model.safetensors")
    assert any(name.startswith("lm_predictions.lm_head") for name in tensors)
    tensors["mask_predictions.classifier.weight"] = np.ones((1, 8), np.float32)
    tensors["deberta.embeddings.position_embeddings.weight"] = np.ones((20, 8), np.float32)
    save_file(tensors, published / "model.safetensors")
    loaded, wanted = folders.load(published), folders.load(golden)
    assert loaded.config == wanted.config
    jax.tree.map(np.testing.assert_array_equal, loaded.params, wanted.params)
    # What does not say it is read under the older names, so these are what is written.
    folders.save(saved, loaded.config, loaded.params, family=loaded.family.name, values=loaded.values)
    assert "cls.predictions.bias" in load_file(saved / "model.safetensors")
    jax.tree.map(np.testing.assert_array_equal, folders.load(saved).params, wanted.params)


def test_a_head_may_be_new(repository):
    loaded = folders.load(repository / "tests/golden/deberta_v3", outputs=("sequence",), labels=3)
    assert (loaded.config.pooler, loaded.params["heads"]["sequence"]["kernel"].shape) == ("gelu", (8, 3))
    assert all(path.startswith("heads/") for path in loaded.new)
    assert {name.split(".")[0] for name in loaded.left} == {"lm_predictions"}


def test_a_model_of_its_own_goes_through_config_json():
    family = FAMILIES["deberta-v2"]
    config = family.read(VALUES | {"position_buckets": 4, "share_att_key": True, "conv_kernel_size": 3}, ())
    assert family.read({"model_type": "deberta-v2", **family.write(config)}, ()) == config
    own = config.attention
    assert (own.span, own.buckets, own.rows, config.convolution, config.positions) == (16, 4, 8, 3, "learned")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"pos_att_type": "p2p|c2p"}, "pos_att_type"),
        ({"pos_att_type": None}, "pos_att_type"),
        ({"relative_attention": False}, "none where it is not"),
        ({"attention_head_size": 8}, "attention_head_size 8 is not supported, only 4"),
        ({"pooler_hidden_size": 4}, "pooler_hidden_size"),
        ({"conv_kernel_size": 2}, "convolution: expected an odd number"),
        ({"conv_kernel_size": 3, "conv_groups": 3}, "convolution_groups: expected a divisor of width 8"),
    ],
)
def test_what_cannot_be_is_refused(changed, told):
    with pytest.raises(ConfigError, match=told):
        FAMILIES["deberta-v2"].read(VALUES | changed, ())
