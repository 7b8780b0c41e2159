"""The same run on one device and on eight, however they are laid out."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from runs import MODEL, run_config

from t2t.data.vocabulary import ByteVocabulary
from t2t.errors import ConfigError
from t2t.models import abstract_params, build
from t2t.training import Adafactor, AdamW, MeshConfig, ScheduleConfig, TrainConfig
from t2t.training.schedules import make_schedule
from t2t.training.setup import abstract_state, find_tasks, first_state, make_loader
from t2t.training.sharding import check_batch, make_mesh, param_shardings, place_rows
from t2t.training.step import make_train_step

MESHES = {
    "data": MeshConfig(),
    "fsdp": MeshConfig(data=1, fsdp=8),
    "tensor": MeshConfig(data=4, tensor=2),
    "mixed": MeshConfig(data=2, fsdp=2, tensor=2),
}
STEPS = 20
SLOW = ScheduleConfig(decay="constant", peak=1e-3, warmup=2)


def losses_and_params(config, mesh):
    """Twenty steps of a run on a mesh, as `train` makes them."""
    model = build(config.model)
    schedule = make_schedule(config.train.schedule, config.train.steps)
    transform = config.train.optimizer.transform(schedule)
    _, shardings = abstract_state(config, mesh, transform)
    state = first_state(config, model, transform, shardings, print)
    step = jax.jit(
        make_train_step(model, transform, schedule, config.train), donate_argnums=0, out_shardings=(shardings, None)
    )
    losses = []
    with make_loader(config, find_tasks(config), ByteVocabulary(), None) as loader:
        for _ in range(STEPS):
            state, metrics = step(state, place_rows(mesh, next(loader)[0]))
            losses.append(float(metrics["loss"]))
    return losses, state


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    found = run_config(tmp_path_factory.mktemp("sharding"), steps=STEPS, optimizer=AdamW(), z_loss=1e-3)
    return dataclasses.replace(found, model=dataclasses.replace(MODEL, dropout=0.1, attention_dropout=0.1))


@pytest.fixture(scope="module")
def alone(config):
    losses, state = losses_and_params(config, make_mesh(MeshConfig(), jax.devices()[:1]))
    assert losses[-1] < losses[0] - 1, "the run learns, so that equal losses mean something"
    return losses, jax.device_get(state.params)


@pytest.mark.parametrize("name", MESHES)
def test_twenty_steps_are_the_same_on_eight_devices(config, alone, name):
    mesh = make_mesh(MESHES[name])
    assert mesh.size == 8
    losses, state = losses_and_params(config, mesh)
    np.testing.assert_allclose(losses, alone[0], rtol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), jax.device_get(state.params), alone[1])
    kernel = state.params["encoder"]["layer_0"]["feed_forward"]["in"]["kernel"]
    shares = (MESHES[name].fsdp, MESHES[name].tensor)
    assert kernel.sharding.shard_shape(kernel.shape) == tuple(s // n for s, n in zip(kernel.shape, shares))
    moments = [m for m in jax.tree.leaves(state.optimizer) if m.shape == kernel.shape]
    assert len(moments) >= 2
    assert all(m.sharding.is_equivalent_to(kernel.sharding, m.ndim) for m in moments)


def test_adafactor_and_microbatches_are_the_same_on_eight_devices(config):
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, mlp_width=128, width=128, dropout=0.0, attention_dropout=0.0),
        train=dataclasses.replace(config.train, optimizer=Adafactor(), microbatches=2, schedule=SLOW),
    )
    one, _ = losses_and_params(config, make_mesh(MeshConfig(), jax.devices()[:1]))
    mixed, _ = losses_and_params(config, make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)))
    np.testing.assert_allclose(mixed, one, rtol=1e-4)


def test_a_dimension_that_does_not_divide_stays_whole():
    config = dataclasses.replace(MODEL, heads=3, head_width=5, mlp_width=31, vocab_size=385)
    shardings = param_shardings(make_mesh(MeshConfig(data=4, tensor=2)), abstract_params(config))
    assert {s.spec for s in jax.tree.leaves(shardings)} <= {PartitionSpec(*([None] * n)) for n in range(4)} | {
        PartitionSpec("fsdp", *([None] * n)) for n in range(3)
    } | {PartitionSpec(*([None] * n), "fsdp") for n in range(3)}


def test_every_name_has_a_rule():
    from t2t import families

    mesh = make_mesh(MeshConfig(data=1, fsdp=4, tensor=2))
    for name in ("transformer_base", "t5_small", "t5_v1_1_small", "gpt2_small"):
        shardings = param_shardings(mesh, abstract_params(families.get(name)))
        assert all(isinstance(s.spec, PartitionSpec) for s in jax.tree.leaves(shardings))


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (MeshConfig(data=3), r"data 3 × fsdp 1 × tensor 1 does not make the 8 devices there are"),
        (MeshConfig(data=-1, tensor=5), r"set one of them to -1, or make their product 8"),
        (MeshConfig(data=4, fsdp=4), r"data 4 × fsdp 4"),
    ],
)
def test_meshes_that_do_not_fit(mesh, message):
    with pytest.raises(ConfigError, match=message):
        make_mesh(mesh)


def test_meshes_that_cannot_be():
    with pytest.raises(ConfigError, match="at most one of them −1"):
        MeshConfig(data=-1, fsdp=-1)
    with pytest.raises(ConfigError, match="expected sizes of at least 1"):
        MeshConfig(tensor=0)


def test_batches_that_do_not_divide_are_told_which_would():
    mesh = make_mesh(MeshConfig())
    with pytest.raises(ConfigError, match=r"train\.batch_size 12 does not divide .* use 8 or 16\."):
        check_batch(mesh, 12)
    with pytest.raises(ConfigError, match=r"and 2 microbatches: use 16\."):
        check_batch(mesh, 8, 2)
    with pytest.raises(ConfigError, match="batch_size 9 is not divisible by microbatches 2"):
        TrainConfig(batch_size=9, microbatches=2)
    check_batch(mesh, 16, 2)
