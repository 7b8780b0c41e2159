"""Where arrays live: logical axis names of parameters onto the axes of a mesh, by one rule table."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from t2t.errors import ConfigError
from t2t.models import Cache, over_batch
from t2t.training.config import MeshConfig

# Data parallelism is this table on a mesh with fsdp = tensor = 1.
RULES: Mapping[str, str | None] = {
    "vocab": "tensor",
    "mlp": "tensor",
    "heads": "tensor",
    "kv": None,
    "embed": "fsdp",
    "layers": None,
}
BATCH_AXES = ("data", "fsdp")


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh (data, fsdp, tensor) over the devices, all there are if not given.

    Raises:
      ConfigError: sizes that do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes, count = [config.data, config.fsdp, config.tensor], len(devices)
    rest = int(np.prod([s for s in sizes if s != -1]))
    if count % rest or (-1 not in sizes and rest != count):
        raise ConfigError(
            f"train.mesh: data {config.data} × fsdp {config.fsdp} × tensor {config.tensor} does not make the "
            f"{count} devices there are: set one of them to -1, or make their product {count}."
        )
    shape = tuple(count // rest if s == -1 else s for s in sizes)
    return jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3, devices=devices)


def param_shardings(mesh: Mesh, boxed: Any) -> Any:
    """The sharding of every parameter, by the names in its box. A dimension that its mesh axis does not divide is whole
    on every device."""

    def of(leaf):
        if not isinstance(leaf, nn.Partitioned):
            return NamedSharding(mesh, PartitionSpec())
        axes = []
        for size, name in zip(leaf.value.shape, leaf.names):
            axis = RULES[name] if name is not None else None
            axes.append(axis if axis is not None and size % mesh.shape[axis] == 0 and axis not in axes else None)
        return NamedSharding(mesh, PartitionSpec(*axes))

    return jax.tree.map(of, boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))


def optimizer_shardings(mesh: Mesh, optimizer_state: Any, params: Any, shardings: Any) -> Any:
    """The sharding of an optimizer's state: a moment lies where its parameter does; what has another shape (a factored
    moment, a counter) is small and whole on every device."""
    by_path = {
        path: (leaf.shape, sharding)
        for (path, leaf), sharding in zip(jax.tree_util.tree_flatten_with_path(params)[0], jax.tree.leaves(shardings))
    }

    def of(path, leaf):
        for start in range(len(path)):
            shape, sharding = by_path.get(path[start:], (None, None))
            if shape == leaf.shape:
                return sharding
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(of, optimizer_state)


def check_batch(mesh: Mesh, batch_size: int, microbatches: int = 1) -> None:
    """Raises ConfigError where the mesh does not divide a batch."""
    shares = mesh.shape["data"] * mesh.shape["fsdp"] * microbatches
    if batch_size % shares:
        below, above = batch_size // shares * shares, -(-batch_size // shares) * shares
        raise ConfigError(
            f"train.batch_size {batch_size} does not divide over data {mesh.shape['data']} × fsdp "
            f"{mesh.shape['fsdp']} devices and {microbatches} microbatches: use "
            + (f"{below} or {above}." if below else f"{above}.")
        )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows of a batch over the data and fsdp axes."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def memory_shardings(mesh: Mesh, memory: Cache) -> Cache:
    """The sharding of what a model keeps between segments: rows lie where those of a batch do."""
    return over_batch(
        lambda x, axis: NamedSharding(mesh, PartitionSpec(*(None,) * axis, BATCH_AXES)),
        memory,
        scalars=lambda x: NamedSharding(mesh, PartitionSpec()),
    )


def place_rows(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """This host's rows of a global batch onto its devices."""
    return {k: jax.make_array_from_process_local_data(batch_sharding(mesh), v) for k, v in batch.items()}


def place_whole(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """A global batch that every host has, onto all devices; whole on each where its rows do not divide."""
    shares = mesh.shape["data"] * mesh.shape["fsdp"]

    def put(v):
        sharding = batch_sharding(mesh) if len(v) % shares == 0 else NamedSharding(mesh, PartitionSpec())
        return jax.make_array_from_callback(v.shape, sharding, lambda index: v[index])

    return {k: put(np.asarray(v)) for k, v in batch.items()}
