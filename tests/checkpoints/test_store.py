"""Checkpoints: what is written is what is read, and what is damaged is found, wherever the damage is."""

import errno
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.checkpoints import Store, best_step, digests, listed, restore_params, steps
from t2t.errors import CheckpointError

PARAMS = {"encoder": {"kernel": np.arange(12.0, dtype=np.float32).reshape(3, 4)}, "table": np.ones((5, 2), np.float32)}
OPTIMIZER = {"count": np.int32(7), "moment": np.full((3, 4), 0.5, np.float32)}


def shapes(tree):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), tree)


def arrays(step):
    return jax.tree.map(lambda x: jnp.asarray(x + step), (PARAMS, OPTIMIZER))


def save(folder, *which, metrics=None, said=None, **settings):
    """A store that saved these steps; `metrics` gives the loss of some."""
    store = Store(folder, report=(said if said is not None else []).append, **settings)
    for step in which:
        loss = (metrics or {}).get(step)
        store.save(step, *arrays(step), {"metrics": {} if loss is None else {"loss": loss}, "position": [[step, 0]]})
    store.wait()
    return store


def assert_is(found, step):
    params, optimizer, meta = found
    jax.tree.map(np.testing.assert_array_equal, (params, optimizer), arrays(step))
    assert meta["step"] == step
    assert meta["position"] == [[step, 0]]


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    save(folder, 1, 2).close()
    return folder


def restore(folder, said):
    store = Store(folder, report=said.append)
    try:
        return store.restore_newest(shapes(PARAMS), shapes(OPTIMIZER))
    finally:
        store.close()


def test_a_field_that_is_none_may_be_newer_than_the_checkpoint(two_steps):
    store = Store(two_steps)
    _, optimizer, _ = store.restore_newest(shapes(PARAMS), {**shapes(OPTIMIZER), "memory": None})
    store.close()
    assert optimizer.pop("memory") is None
    jax.tree.map(np.testing.assert_array_equal, optimizer, arrays(2)[1])


def test_what_was_saved_is_read_back_bit_for_bit(two_steps):
    said = []
    assert_is(restore(two_steps, said), 2)
    assert said == []


def test_no_checkpoint_is_none(tmp_path):
    assert restore(tmp_path / "nothing", []) is None


def test_arrays_may_be_given_away_while_a_save_is_under_way(tmp_path):
    store = Store(tmp_path)
    params, optimizer = arrays(3)
    store.save(3, params, optimizer, {"metrics": {}, "position": [[3, 0]]})
    jax.tree.map(lambda x: x.delete(), (params, optimizer))
    store.wait()
    assert_is(store.restore_newest(shapes(PARAMS), shapes(OPTIMIZER)), 3)
    store.close()


def damages(folder):
    """Every file of a checkpoint with each way to damage it."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path, "flip"
        yield path, "cut"
        yield path, "lose"


def apply(path, how):
    data = path.read_bytes()
    if how == "lose":
        path.unlink()
    elif how == "cut" or not data:
        path.write_bytes(data[: len(data) // 2] if data else b"x")
    else:
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        path.write_bytes(bytes(flipped))


def test_any_damage_to_any_file_falls_back_aloud_to_the_checkpoint_before(two_steps, tmp_path):
    count = 0
    for i, (path, how) in enumerate(damages(two_steps / "2")):
        copy = tmp_path / str(i)
        shutil.copytree(two_steps, copy)
        apply(copy / path.relative_to(two_steps), how)
        said = []
        assert_is(restore(copy, said), 1)
        assert len(said) == 1, (path, how)
        assert said[0].startswith("The checkpoint of step 2 cannot be used ("), said
        assert said[0].endswith("): trying the one before.")
        shutil.rmtree(copy)
        count += 1
    assert count > 20


def test_a_file_that_was_not_there_is_noticed(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "copy")
    (tmp_path / "copy" / "2" / "params" / "stray").write_text("?")
    said = []
    assert_is(restore(tmp_path / "copy", said), 1)
    assert "params/stray was not there when it was saved" in said[0]


def test_none_whole_is_an_error_and_never_a_new_start(two_steps, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(two_steps, copy)
    for step in ("1", "2"):
        apply(copy / step / "meta.json", "flip")
    with pytest.raises(CheckpointError, match="None of the checkpoints in .* is whole: restore one from a copy"):
        restore(copy, [])


def test_a_save_that_did_not_finish_is_passed_over_and_written_again(two_steps, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(two_steps, copy)
    (copy / "2" / digests.FILE).unlink()
    said = []
    assert_is(restore(copy, said), 1)
    assert "step 2 cannot be used (the save did not finish)" in said[0]
    store = save(copy, 2)
    assert_is(store.restore_newest(shapes(PARAMS), shapes(OPTIMIZER)), 2)
    store.close()


def test_the_newest_are_kept_and_the_best(tmp_path):
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0, 5: 4.0}
    save(tmp_path / "small", *losses, metrics=losses, keep=2, best="loss").close()
    assert steps(tmp_path / "small") == listed(tmp_path / "small") == [2, 4, 5]
    save(tmp_path / "great", *losses, metrics=losses, keep=1, best="loss", smaller_is_better=False).close()
    assert steps(tmp_path / "great") == [4, 5]
    save(tmp_path / "none", *losses, keep=3, best="loss").close()
    assert steps(tmp_path / "none") == [3, 4, 5]
    assert best_step(tmp_path / "small", "loss") == 2
    assert best_step(tmp_path / "none", "loss") is None


def test_of_equally_good_ones_the_newest_is_best(tmp_path):
    save(tmp_path, 1, 2, 3, metrics={1: 0.5, 2: 0.5, 3: 0.9}, keep=9).close()
    assert best_step(tmp_path, "loss") == 2


def test_a_full_disk_is_told_and_costs_no_checkpoint(tmp_path, monkeypatch):
    store = save(tmp_path, 1)

    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(digests, "write", full)
    store.save(2, *arrays(2), {"metrics": {}})
    with pytest.raises(CheckpointError, match=r"step 2 in .* failed: the disk is full\. The last good one is step 1"):
        store.wait()
    assert listed(tmp_path) == [1]
    monkeypatch.undo()
    assert_is(store.restore_newest(shapes(PARAMS), shapes(OPTIMIZER)), 1)
    store.close()


def test_an_error_of_the_save_before_comes_with_the_next_one(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setattr(digests, "write", lambda folder: (_ for _ in ()).throw(PermissionError("no")))
    store.save(1, *arrays(1), {"metrics": {}})
    with pytest.raises(CheckpointError, match=r"step 1 .* failed: PermissionError: no\. There is no earlier one"):
        store.save(2, *arrays(2), {"metrics": {}})
    store.close()


def test_a_checkpoint_of_another_model_is_told_as_a_difference(two_steps):
    wanted = {
        "encoder": {"kernel": np.zeros((3, 9), np.float32), "bias": np.zeros(3, np.float32)},
    }
    with pytest.raises(CheckpointError) as error:
        restore_params(two_steps, shapes(wanted))
    for line in (
        "- encoder/bias [3]: the model has it, the checkpoint does not",
        "+ table [5, 2]: the checkpoint has it, the model does not",
        "≠ encoder/kernel: [3, 4] in the checkpoint, [3, 9] in the model",
    ):
        assert line in str(error.value)


def test_parameters_alone_by_step_or_the_newest_whole(two_steps, tmp_path):
    said = []
    params, step = restore_params(two_steps, shapes(PARAMS), report=said.append)
    assert step == 2
    np.testing.assert_array_equal(params["table"], arrays(2)[0]["table"])
    assert restore_params(two_steps, shapes(PARAMS), step=1)[1] == 1
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 7 in .* There are: 1, 2\."):
        restore_params(two_steps, shapes(PARAMS), step=7)
    copy = tmp_path / "copy"
    shutil.copytree(two_steps, copy)
    apply(copy / "2" / "meta.json", "cut")
    assert restore_params(copy, shapes(PARAMS), report=said.append)[1] == 1
    assert "meta.json is damaged): trying the one before." in said[0]
    with pytest.raises(CheckpointError, match="No checkpoint that was asked for"):
        restore_params(copy, shapes(PARAMS), step=2, report=said.append)


def test_a_text_is_there_whole_or_as_before(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    digests.write_atomically(path, "one")
    monkeypatch.setattr(digests.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError("power")))
    with pytest.raises(OSError, match="power"):
        digests.write_atomically(path, json.dumps({"two": 2}))
    assert path.read_text() == "one"


@pytest.mark.parametrize("axes", [("data",), ("fsdp",)])
def test_saved_on_one_layout_of_devices_and_read_on_another(tmp_path, axes):
    mesh = jax.make_mesh((8,), axes)
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(axes[0]))
    value = np.arange(64, dtype=np.float32).reshape(16, 4)
    store = Store(tmp_path)
    store.save(1, {"a": jax.device_put(value, spread)}, {"c": jnp.int32(1)}, {"metrics": {}})
    store.close()
    one, _ = restore_params(tmp_path, shapes({"a": value}))
    np.testing.assert_array_equal(one["a"], value)
    wanted = {"a": jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=spread)}
    eight, _ = restore_params(tmp_path, wanted)
    assert eight["a"].sharding.is_equivalent_to(spread, 2)
