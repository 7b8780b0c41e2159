"""Rows and heads of a batch in groups, one group after another, where a tile of all of them at once would be more than
the cache of a CPU holds, or the memory of a device: logits would go there and back between their products."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from t2t.attention.kernels.offset_bias import OffsetBias
from t2t.attention.kernels.tiles import ArrayBias, Operands
from t2t.attention.tiling import Tiling

ROWS_AND_HEADS = 0, 2  # the axes of arrays [b slots h …]


def forward(of_some: Callable, operands: Operands, tiling: Tiling, at_once: int) -> tuple[jax.Array, jax.Array]:
    """`of_some(operands)` of groups that have no more than `at_once` pairs in a tile: [b slots h …] of each result."""
    groups = _Groups.of(operands, tiling, at_once)
    if groups.count == 1:
        return of_some(operands)
    found = jax.lax.map(lambda i: of_some(groups.take(operands, i)), jnp.arange(groups.count))
    return jax.tree.map(groups.joined, found)


def backward(
    of_some: Callable, operands: Operands, tiling: Tiling, at_once: int, d_bias: Any, *given: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """`of_some(operands, d_bias, *given)` of such groups, which gives three gradients and that of the bias so far."""
    groups = _Groups.of(operands, tiling, at_once)
    if groups.count == 1:
        return of_some(operands, d_bias, *given)

    def group(d_bias, i):
        mine = groups.of_bias(d_bias, lambda x, axes: groups.part(x, axes, i))
        *gradients, mine = of_some(groups.take(operands, i), mine, *(groups.part(x, ROWS_AND_HEADS, i) for x in given))
        return groups.of_bias(d_bias, lambda x, axes, more: groups.put(x, axes, i, more), mine), gradients

    d_bias, gradients = jax.lax.scan(group, d_bias, jnp.arange(groups.count))
    return *jax.tree.map(groups.joined, gradients), d_bias


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Groups of rows by groups of heads. Each has as much of what lies on every device, however rows and heads are
    spread over them: with d devices, every d-th part of an axis gives its share.

    Attributes:
      rows, heads: into how many groups they are split.
      devices: d.
    """

    rows: int
    heads: int
    devices: int

    @classmethod
    def of(cls, operands: Operands, tiling: Tiling, at_once: int) -> "_Groups":
        b, _, h, _ = operands.query.shape
        devices = jax.device_count()
        most = max(at_once * devices // (tiling.query_tile * tiling.key_tile), 1)  # rows times heads
        rows = _split(b, max(most // h, 1), devices)
        # A bias that is called with positions makes that of all heads.
        whole = operands.bias is not None and not isinstance(operands.bias, (OffsetBias, ArrayBias))
        return cls(rows, 1 if whole else _split(h, max(most * rows // b, 1), devices), devices)

    @property
    def count(self) -> int:
        return self.rows * self.heads

    def take(self, operands: Operands, number: jax.Array) -> Operands:
        """The operands of a group."""
        o = operands

        def of_both(x):
            return None if x is None else self.part(x, ROWS_AND_HEADS, number)

        def of_rows(side):
            return jax.tree.map(lambda x: self.part(x, (0, None), number), side)

        return o.replace(
            query=of_both(o.query),
            key=of_both(o.key),
            value=of_both(o.value),
            query_side=of_rows(o.query_side),
            key_side=of_rows(o.key_side),
            bias=self.of_bias(o.bias, lambda x, axes: self.part(x, axes, number)),
            keep=of_both(o.keep),
            dropout_key=None if o.dropout_key is None else jax.random.fold_in(o.dropout_key, number),
        )

    def of_bias(self, bias: Any, do: Callable, *others: Any) -> Any:
        """`do(array, its axes of rows and heads, …)` with the arrays of a bias; one that has neither is the last."""
        if isinstance(bias, (OffsetBias, ArrayBias)):
            axes = (None, 1) if isinstance(bias, OffsetBias) else (0, 1)
            return jax.tree.map(lambda x, *rest: do(x, axes, *rest), bias, *others)
        return (bias, *others)[-1]

    def part(self, x: jax.Array, axes: tuple[int | None, int | None], number: jax.Array) -> jax.Array:
        """What a group has of an array with these axes of rows and heads; all of one of length 1."""
        for axis, count, index in self._split_axes(x, axes, number):
            split = x.reshape(*x.shape[:axis], self.devices, count, -1, *x.shape[axis + 1 :])
            mine = jax.lax.dynamic_index_in_dim(split, index, axis + 1, keepdims=False)
            x = mine.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
        return x

    def put(self, x: jax.Array, axes: tuple[int | None, int | None], number: jax.Array, part: jax.Array) -> jax.Array:
        """The array with another `part`."""
        split = {axis: (self.devices, count, index) for axis, count, index in self._split_axes(x, axes, number)}
        whole, mine, start = [], [], []
        for axis, length in enumerate(x.shape):
            devices, count, index = split.get(axis, (1, 1, 0))
            share = length // (devices * count)
            whole, mine, start = [*whole, devices, count, share], [*mine, devices, 1, share], [*start, 0, index, 0]
        return jax.lax.dynamic_update_slice(x.reshape(whole), part.reshape(mine), start).reshape(x.shape)

    def joined(self, x: jax.Array) -> jax.Array:
        """[groups b' slots h' …] → [b slots h …]."""
        _, b, slots, h, *rest = x.shape
        across = [self.devices if count > 1 else 1 for count in (self.rows, self.heads)]
        x = x.reshape(self.rows, self.heads, across[0], -1, slots, across[1], h // across[1], *rest)
        x = jnp.moveaxis(x, (0, 1), (1, 5))
        return x.reshape(self.rows * b, slots, self.heads * h, *rest)

    def _split_axes(self, x, axes, number):
        split = zip(axes, (self.rows, self.heads), (number // self.heads, number % self.heads))
        return [(a, count, index) for a, count, index in split if a is not None and count > 1 and x.shape[a] > 1]


def _split(count: int, most: int, devices: int) -> int:
    """The fewest equal groups of `count` things that have no more than `most`, and a multiple of `devices`; as many as
    can be where `most` is less, and one where the things are no such multiple."""
    if count % devices:
        return 1
    return next(
        (g for g in range(1, count // devices + 1) if not count % (g * devices) and count // g <= most),
        count // devices,
    )
