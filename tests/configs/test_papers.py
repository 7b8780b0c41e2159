"""The papers' own experiments: of their published sizes, and trained for a few steps, shrunk by overrides alone."""

import importlib
import json

import numpy as np
import pytest
from tfds_folder import png, prepare

from launch import script
from t2t.config import build
from t2t.models import param_count
from t2t.training import RunConfig, train

SMALL = {
    "model.width": 16, "model.heads": 2, "model.head_width": 8, "model.mlp_width": 32, "train.steps": 3,
    "train.batch_size": 8, "train.checkpoint_every": 0, "train.eval_every": 0, "train.final_eval_examples": 8,
}  # fmt: skip
SEGMENTS = {"model.decoder_layers": 2, "data.targets_length": 16, "data.inputs_length": 16}
RECURRENT = SEGMENTS | {"model.attention.memory": 16, "decode.attention.memory": 40, "decode.attention.clamp": 30}
CLUSTERS = {"data.vocabulary": "words:300", "model.adaptive.cutoffs": (4, 8, 9)}
ROWS = {"model.decoder_layers": 2}
PIXELS = ROWS | {"model.value_width": 12, "model.attention.pattern": "local(12) | strided(12)"}
EXPERIMENTS = {  # module: (of get_config, published parameters, vocabulary, overrides)
    "transformer_xl.enwik8": ("base", 41e6, 204, RECURRENT),
    "transformer_xl.enwik8:large": ("large", 277e6, 204, RECURRENT),
    "transformer_xl.wikitext103": ("base", 151e6, 267_735, RECURRENT | CLUSTERS),
    "transformer_xl.wikitext103:large": (
        "large", 285.2e6, 267_735, RECURRENT | CLUSTERS | {"model.adaptive.divisor": 2},
    ),
    "sparse_transformer.enwik8": (
        None, 95e6, 256,
        ROWS | {
            "model.attention.pattern": "fixed(8, 2)", "model.max_length": 64, "model.position_grid": (8, 8),
            "data.targets_length": 64, "data.inputs_length": 8, "data.buckets": (64,),
        },
    ),
    "sparse_transformer.cifar10": (
        None, 59e6, 256,
        PIXELS | {
            "model.max_length": 50, "model.position_grid": (5, 4, 3), "data.targets_length": 50,
            "data.inputs_length": 8, "data.buckets": (49,),
        },
    ),
    "sparse_transformer.imagenet64": (
        None, 152e6, 256,
        PIXELS | {
            "model.max_length": 50, "model.position_grid": (5, 4, 3), "data.targets_length": 50,
            "data.inputs_length": 8, "data.buckets": (49,),
        },
    ),
    "linformer.pretraining": (
        None, 125e6, 50_265,
        {
            "model.encoder_layers": 2, "model.max_length": 32, "model.attention.length": 32,
            "model.attention.rank": 8, "data.inputs_length": 32, "data.buckets": (32,), "data.vocabulary": "bytes",
        },
    ),
}  # fmt: skip


def recipe(name, overrides):
    """The config of an experiment with fields changed, as the command line changes them."""
    given = EXPERIMENTS[name][0]
    config = importlib.import_module(f"configs.{name.split(':')[0]}").get_config(*([given] if given else []))
    config.lock()
    config.update_from_flattened_dict(overrides)
    return build(RunConfig, script.plain(config))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a text, and images of 4 × 4 pixels under the names of the papers' data."""
    folder = tmp_path_factory.mktemp("papers")
    generator = np.random.default_rng(0)
    words = ["the", "of", "attention", "is", "a", "pattern", "that", "naïve", "rows", "share"]
    lines = [" ".join(generator.choice(words, 12)) for _ in range(60)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def images(tfds):
        return tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(4, 4, 3), encoding_format="png")})

    def shown(count):
        return [{"image": png(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))} for _ in range(count)]

    prepare(folder, "cifar10:3.0.2", images, {"train": shown(16), "test": shown(8)})
    prepare(folder, "downsampled_imagenet/64x64:2.0.0", images, {"train": shown(16), "validation": shown(8)})
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_its_published_size(name):
    _, published, vocabulary, _ = EXPERIMENTS[name]
    model = recipe(name, {"model.vocab_size": vocabulary}).model
    assert param_count(model) == pytest.approx(published, rel=0.012)


# The larger of enwik8, shrunk, is the smaller one with other rates.
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "transformer_xl.enwik8:large"])
def test_it_trains(name, data, tmp_path):
    overrides = SMALL | EXPERIMENTS[name][3]
    if "image" in name or "cifar" in name:
        overrides = overrides | {"data.data_dir": str(data)}
    else:
        overrides = overrides | {"data.train": str(data / "text.txt"), "data.validation": str(data / "text.txt")}
    config = recipe(name, overrides)
    summary = train(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert 0 < summary["evaluation"]["loss"] < np.log(config.model.vocab_size or 512)
    assert summary["skipped_steps"] == 0
