"""A run that starts from a folder in Hugging Face's format: its model, its parameters, its tokenizer."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import linen as nn

import t2t
from t2t import families, folders
from t2t.data import DataConfig
from t2t.errors import CheckpointError, ConfigError
from t2t.models import ModelConfig, build, dummy_batch, restack
from t2t.training import RunConfig, TrainConfig, train
from t2t.training.setup import set_up

T5 = dataclasses.replace(
    families.get("t5_v1_1_small"), vocab_size=384, width=16, heads=2, head_width=8, mlp_width=24, encoder_layers=2,
    decoder_layers=1,
)  # fmt: skip
BERT = dataclasses.replace(
    families.get("bert_base"), vocab_size=384, width=16, heads=2, head_width=8, mlp_width=24, encoder_layers=2,
    max_length=64,
)  # fmt: skip


def write(folder, config, family):
    params = nn.meta.unbox(build(config).init(jax.random.key(3), dummy_batch(config))["params"])
    folders.save(folder, config, params, family=family)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    return folder


def config_of(folder, data, **changes):
    settings = {"inputs_length": 16, "targets_length": 16}
    model = ModelConfig(
        width=8, heads=1, mlp_width=8, encoder_layers=1, decoder_layers=1, dropout=0.25, **changes.pop("model", {})
    )
    train = TrainConfig(steps=2, batch_size=8, eval_every=0, checkpoint_every=0)
    return RunConfig(data=DataConfig(train=str(data), **settings), model=model, train=train, init_from=str(folder))


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("inputs\ttargets\n" + "".join(f"{a}{b}\t{b}{a}\n" for a in "abcdef" for b in "ghijkl"))
    return path


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_the_folder_gives_the_model_its_parameters_and_its_tokenizer(tmp_path, pairs, stacking):
    folder = write(tmp_path / "t5", T5, "t5")
    config = config_of(folder, pairs, model={"stacking": stacking})
    run = set_up(config, tmp_path / "run", lambda text: None)
    jax.tree.map(np.testing.assert_array_equal, run.state.params, folders.load(folder, stacking=stacking).params)
    assert run.config.model.width == 16
    assert run.config.model.dropout == 0.25  # how it is trained is the run's
    assert run.vocabulary.encode("a") == [100]
    run.loader.close()
    run.store.close()


def test_it_trains_and_what_it_wrote_goes_on(tmp_path, pairs):
    folder = write(tmp_path / "t5", T5, "t5")
    config = config_of(folder, pairs)
    train(config, tmp_path / "run")
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=3))
    assert train(longer, tmp_path / "run")["steps"] == 3


def test_heads_that_a_folder_has_not_are_new(tmp_path):
    folder = write(tmp_path / "bert", BERT, "bert")
    found = folders.load(folder, outputs=("sequence",), labels=3)
    assert found.config.pooler == "tanh"
    assert set(found.new) == {f"heads/{part}/{kind}" for part in ("pooler", "sequence") for kind in ("kernel", "bias")}
    assert "cls.predictions.bias" in found.left
    assert found.params["heads"]["sequence"]["kernel"].shape == (16, 3)
    again = folders.load(folder, outputs=("sequence",), labels=3)
    jax.tree.map(np.testing.assert_array_equal, found.params, again.params)


def test_heads_of_other_outputs_are_not_taken_for_ours(tmp_path):
    """BERT calls the heads of classes and of tags the same."""
    first = dataclasses.replace(BERT, outputs=("tagging",))
    folder = write(tmp_path / "tags", first, "bert")
    assert folders.load(folder).new == ()
    assert any(path.startswith("heads/sequence") for path in folders.load(folder, outputs=("sequence",)).new)
    assert set(folders.load(folder, labels=5).new) == {"heads/tagging/kernel", "heads/tagging/bias"}


def test_logits_over_the_vocabulary_cannot_be_new(tmp_path):
    folder = write(tmp_path / "tags", dataclasses.replace(BERT, outputs=("tagging",)), "bert")
    with pytest.raises(ConfigError, match=r"has no logits over the vocabulary, its outputs are \('tagging',\)"):
        folders.load(folder, outputs=("vocabulary",))


@pytest.fixture
def pretrained(tmp_path, pairs):
    """A run of a masked language model."""
    model = dataclasses.replace(BERT, vocab_size=0)
    data = DataConfig(
        train=str(pairs), format="text", objective="masked_lm", vocabulary="bytes", inputs_length=16, targets_length=16
    )
    train_config = TrainConfig(steps=1, batch_size=8, eval_every=0, checkpoint_every=0)
    train(RunConfig(data=data, model=model, train=train_config), tmp_path / "mlm")
    return tmp_path / "mlm"


@pytest.mark.parametrize("stacking", ["unrolled", "scanned"])
def test_heads_that_a_run_has_not_are_new(tmp_path, pairs, pretrained, stacking):
    model = dataclasses.replace(BERT, vocab_size=0, outputs=("sequence",), pooler="tanh", labels=3, stacking=stacking)
    train_config = TrainConfig(steps=1, batch_size=8, eval_every=0, checkpoint_every=0)
    data = DataConfig(train=str(pairs), inputs_length=16, targets_length=16, packing=False, labels=("a", "b", "c"))
    config = RunConfig(data=data, model=model, train=train_config, init_from=str(pretrained))
    said = []
    run = set_up(config, tmp_path / "run", said.append)
    run.loader.close()
    run.store.close()
    theirs = t2t.load(str(pretrained)).params
    ours = restack(run.state.params, dataclasses.replace(run.config.model, stacking="unrolled"))
    assert set(theirs) - set(ours) == {"logits"}
    assert set(ours) - set(theirs) == {"heads"}
    assert ours["heads"]["sequence"]["kernel"].shape == (16, 3)
    assert np.ptp(ours["heads"]["sequence"]["kernel"]) > 0
    for room in set(theirs) & set(ours):
        jax.tree.map(np.testing.assert_array_equal, ours[room], theirs[room])
    told = " ".join(said)
    assert "New, and not yet trained: heads/pooler/bias" in told
    assert "There, and not used: logits/bias" in told


def test_a_run_of_another_model_is_refused(tmp_path, pairs, pretrained):
    other = dataclasses.replace(BERT, vocab_size=0, logits_transform="", mlp_width=25)
    config = RunConfig(
        data=DataConfig(train=str(pairs), format="text", objective="masked_lm", inputs_length=16),
        model=other,
        train=TrainConfig(steps=1, batch_size=8),
        init_from=str(pretrained),
    )
    with pytest.raises(CheckpointError, match="checkpoint of another model"):
        set_up(config, tmp_path / "run", lambda text: None)
