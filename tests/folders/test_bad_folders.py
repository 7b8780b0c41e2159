"""Folders that are not what they should be: a clear word each, everything told at once, and nothing executed."""

import dataclasses
import json
import pathlib
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
from family_of import PUBLIC_SIZES, family_of
from safetensors.numpy import load_file, save_file

from t2t import families, folders
from t2t.errors import CheckpointError, ConfigError
from t2t.families.heads import named_labels

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture
def folder(tmp_path):
    """A folder of GPT-2 that may be spoiled."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "gpt2" / name, tmp_path / name)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def refused(folder, match, error=CheckpointError):
    with pytest.raises(error, match=match):
        folders.load(folder)


def test_the_config_is_looked_at_first(folder):
    change(folder, model_type="gpt3")
    refused(folder, r"config.json: Unknown model_type 'gpt3'. Did you mean 'gpt2'")
    change(folder, model_type=None)
    refused(folder, r"no model_type: expected one of .*bart.*gpt2.*t5")
    (folder / "config.json").write_text("{", encoding="utf-8")
    refused(folder, r"config.json is no JSON")
    (folder / "config.json").write_text("[]", encoding="utf-8")
    refused(folder, r"config.json: expected an object, found list")
    (folder / "config.json").unlink()
    refused(folder, r"There is no config.json in")
    refused(folder / "nowhere", r"There is no config.json in")


def test_what_is_not_here_is_refused(folder):
    change(folder, activation_function="mish")
    refused(folder, "activation_function 'mish' is not supported; there are relu, gelu", ConfigError)
    change(folder, activation_function="relu", add_cross_attention=True)
    refused(folder, "add_cross_attention True is not supported, only False", ConfigError)
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_embd": 16}', encoding="utf-8")
    refused(folder, "config.json of a 'gpt2' lacks vocab_size, n_positions, n_layer, n_head", ConfigError)


def test_numbers_that_are_no_parameters(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wpe.weight"] = tensors["transformer.wpe.weight"].astype(np.int8)
    save_file(tensors, folder / "model.safetensors")
    refused(folder, r"transformer.wpe.weight is of I8, expected one of F64, F32, F16, BF16: convert it")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_precisions_are_read_as_they_are(folder, dtype):
    narrow = {name: array.astype(dtype) for name, array in load_file(folder / "model.safetensors").items()}
    save_file(narrow, folder / "model.safetensors")
    found = folders.load(folder).params["decoder"]["layer_1"]["feed_forward"]["out"]["kernel"]
    expected = narrow["transformer.h.1.mlp.c_proj.weight"].astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_tensors_that_are_not_the_configs_are_all_told_at_once(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.ln_1.weight"], tensors["transformer.wpe.weight"]
    tensors |= {"score.weight": np.zeros((2, 16), np.float32), "transformer.ln_f.bias": np.zeros(17, np.float32)}
    save_file(tensors, folder / "model.safetensors")
    refused(
        folder,
        "2 missing: transformer.h.1.ln_1.weight, transformer.wpe.weight; 1 unexpected: score.weight; "
        r"1 of another shape: transformer.ln_f.bias: expected \[16\], found \[17\]",
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-3], "not fully covered"),
        (lambda data: data[:20], "header"),
        (lambda data: b"", "header too small"),
        (lambda data: data.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1), "offset"),
    ],
)
def test_a_file_that_is_not_whole(folder, spoil, message):
    path = folder / "model.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    refused(folder, rf"is no whole safetensors file \(.*{message}.*\): fetch it again")


def test_a_pickle_is_not_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model.bin alone, a pickle, which can run any code .*python -c .*weights_only=True")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, "There is no model.safetensors in")


def write_index(folder, **files):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}), encoding="utf-8")


def test_an_index_stays_in_its_folder(folder):
    write_index(folder, a="../elsewhere.safetensors")
    refused(folder, r"names the file '../elsewhere.safetensors', which is not in the folder: it is not opened")
    write_index(folder, a="/etc/passwd")
    refused(folder, "names the file '/etc/passwd'")
    write_index(folder, a="model-00002-of-00002.safetensors")
    refused(folder, "names model-00002-of-00002.safetensors, which is not there: fetch the whole folder")
    write_index(folder, a="model.safetensors")
    refused(folder, "names tensors that are not in their files: a")
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    refused(folder, "expected a 'weight_map' from tensors to files")


def test_shards_are_one_model(folder, tmp_path_factory):
    whole, shards = folders.load(folder), tmp_path_factory.mktemp("shards")
    folders.save(shards, whole.config, whole.params, family="gpt2", shard_bytes=6_000)
    files = sorted(p.name for p in shards.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert all((shards / f).stat().st_size < 10_000 for f in files)
    again = folders.load(shards)
    assert (
        folders.named(again.config, again.params, again.family).keys() == load_file(folder / "model.safetensors").keys()
    )
    for name, tensor in folders.named(again.config, again.params, again.family).items():
        np.testing.assert_array_equal(tensor, load_file(folder / "model.safetensors")[name], err_msg=name)


def test_a_folder_without_heads_has_no_prefix(folder):
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare["h.0.attn.bias"] = np.zeros((1, 1, 40, 40), np.float32)  # old folders' causal masks
    wanted = folders.load(folder).params
    save_file(bare, folder / "model.safetensors")
    found = folders.load(folder).params
    np.testing.assert_array_equal(found["tokens"]["table"], wanted["tokens"]["table"])


def test_a_model_that_a_family_cannot_describe_is_not_saved(tmp_path):
    config = dataclasses.replace(folders.load(GOLDEN / "gpt2").config, gated=True)
    with pytest.raises(
        ConfigError, match="The config.json of a 'gpt2' does not describe this model: gated True, it would"
    ):
        folders.save(tmp_path, config, {}, family="gpt2")
    with pytest.raises(ConfigError, match="Unknown family 'gpt3'. Did you mean 'gpt2'"):
        folders.save(tmp_path, config, {}, family="gpt3")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", PUBLIC_SIZES)
def test_published_sizes_are_what_their_config_json_says(size):
    config, family = families.get(size), family_of(size)
    values = {"model_type": family.name, **family.write(config), **named_labels(config, {})}
    again = family.read(values, {row.theirs for row in family.rows(config)})
    assert again == config


def test_the_names_of_the_first_folders_are_read(tmp_path):
    """LayerNorm.gamma and .beta, as BERT's first folders have them."""
    here = GOLDEN / "bert"
    tensors = load_file(here / "model.safetensors")
    renamed = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for n, t in tensors.items()
    }
    assert set(renamed) != set(tensors)
    save_file(renamed, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((here / "config.json").read_bytes())
    jax.tree.map(np.testing.assert_array_equal, folders.load(tmp_path).params, folders.load(here).params)
