"""The names of parameters in public files, as data: one row for each tensor, the layers' numbers left open."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable
from typing import Literal, Protocol

import numpy as np

STRIP = 128  # rows that are turned together: they stay in the cache
PIECE = 1 << 17  # numbers that are copied together, likewise
LINE = 16  # numbers of float32 in a line of the cache


class Rows(Protocol):
    """An array, or what gives one of the rows that are asked for, such as a tensor that is still in its file."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: slice) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a tensor of a file lies there, beside the parameter that it is here.

    Attributes:
      kind: "same"; "flat": the parameter's axes are one there (biases of heads); "kernel": the axes of what goes in are
        one, and those of what comes out; "heads": likewise, [out in] there, but that parts lie side by side within each
        head, rather than all heads of one before those of the next; "last_first": its last axis comes first;
        "convolution": [out in places…] there, [places… in out] here.
      inward: of a kernel: how many of the parameter's axes go in.
      transposed: of a kernel: [out in] there.
      part: which of how many equal parts, side by side along what comes out, the parameter is.
      lead: of "same": how many axes of 1 stand in front there.
    """

    kind: Literal["same", "flat", "kernel", "heads", "last_first", "convolution"] = "same"
    inward: int = 1
    transposed: bool = True
    part: tuple[int, int] = (0, 1)
    lead: int = 0

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """The tensor's shape there, of a parameter's here."""
        if self.kind == "same":
            return (1,) * self.lead + ours
        if self.kind == "last_first":
            return ours[-1:] + ours[:-1]
        if self.kind == "convolution":
            return ours[-1], ours[-2], *ours[:-2]
        if self.kind == "flat":
            return (math.prod(ours) * self.part[1],)
        sides = math.prod(ours[: self.inward]), math.prod(ours[self.inward :]) * self.part[1]
        return sides[::-1] if self.transposed else sides

    def read(self, tensor: Rows, parameter: np.ndarray) -> None:
        """Fills a parameter, which is whole in memory, with what a tensor holds of it.

        That is done by some rows at a time, so that they are still in the cache when they are put to their places.
        """
        i, of = self.part
        if self.kind == "same":
            _fill(parameter.reshape(tensor.shape), tensor)
        elif self.kind == "flat":
            parameter.reshape(-1)[...] = self._view(tensor[:], parameter.shape)
        elif self.kind == "last_first":
            _turn(parameter, lambda start, stop: tensor[start:stop])
        elif self.kind == "convolution":
            _turn(parameter, lambda start, stop: np.moveaxis(tensor[start:stop], 1, -1))
        else:
            ours = parameter.shape
            kernel = parameter.reshape(math.prod(ours[: self.inward]), math.prod(ours[self.inward :]))
            width = kernel.shape[1]
            if not self.transposed:
                _fill(kernel, tensor, slice(i * width, (i + 1) * width))
                return
            heads = ours[self.inward] if self.kind == "heads" else 1
            width //= heads
            for head in range(heads):
                first = (head * of + i) * width
                columns = kernel[:, head * width : (head + 1) * width]
                _turn(columns, lambda start, stop, first=first: tensor[first + start : first + stop])

    def write(self, parameter: np.ndarray, tensor: np.ndarray) -> None:
        """Puts a parameter into its place in a tensor."""
        view = self._view(tensor, parameter.shape)
        parameter = parameter.reshape(view.shape)
        if view.ndim > 1 and view.strides[0] == view.itemsize:
            _turn(np.moveaxis(view, 0, -1), lambda start, stop: parameter[start:stop])
        else:
            view[...] = parameter

    def _view(self, tensor: np.ndarray, ours: tuple[int, ...]) -> np.ndarray:
        if self.kind == "same":
            return tensor.reshape(ours)
        if self.kind == "last_first":
            return np.moveaxis(tensor, 0, -1)
        if self.kind == "convolution":
            return np.moveaxis(tensor, (0, 1), (-1, -2))
        i, of = self.part
        if self.kind == "flat":
            return tensor.reshape(of, -1)[i]
        kernel = tensor.T if self.transposed else tensor
        if self.kind == "heads":
            return kernel.reshape(kernel.shape[0], ours[self.inward], of, -1)[:, :, i]
        width = kernel.shape[1] // of
        return kernel[:, i * width : (i + 1) * width]


def _fill(target: np.ndarray, tensor: Rows, columns: slice = slice(None)) -> None:
    """target[…] = tensor[…, columns]."""
    step = max(PIECE // math.prod(tensor.shape[1:]), 1)
    for start in range(0, len(target), step):
        target[start : start + step] = tensor[start : start + step][..., columns]


def _turn(target: np.ndarray, rows: Callable[[int, int], np.ndarray]) -> None:
    """target[..., start:stop] = rows(start, stop), the first axis of these last, for all of them.

    The numbers of a column are often a power of two apart, and share one place of the nearest cache. So strips of rows
    are copied as they lie, to where they are a line more apart, and turned there.
    """
    shape = target.shape[:-1]
    apart = np.empty((STRIP, math.prod(shape) + LINE), target.dtype)[:, :-LINE].reshape(STRIP, *shape)
    for start in range(0, target.shape[-1], STRIP):
        stop = min(start + STRIP, target.shape[-1])
        strip = apart[: stop - start]
        strip[...] = rows(start, stop)
        target[..., start:stop] = np.moveaxis(strip, 0, -1)


SAME, FLAT, LAST_FIRST, ROW_OF_ONE = Layout(), Layout("flat"), Layout("last_first"), Layout(lead=2)
LINEAR = Layout("kernel")  # PyTorch's Linear, [out in], into heads or a width
LINEAR_OUT = Layout("kernel", inward=2)  # from heads
CONV1D = Layout("kernel", transposed=False)  # GPT's, [in out]
CONV1D_OUT = Layout("kernel", inward=2, transposed=False)


@dataclasses.dataclass(frozen=True)
class Row:
    """One tensor of a file and the parameter that it is.

    Attributes:
      ours: the parameter's path in an unrolled model, with slashes.
      theirs: the tensor's name.
      layout: see `Layout`.
    """

    ours: str
    theirs: str
    layout: Layout = SAME


def linear(ours: str, theirs: str, *, bias: bool = True, layout: Layout = LINEAR) -> list[Row]:
    """A projection from a width to a width, with its bias."""
    rows = [Row(f"{ours}/kernel", f"{theirs}.weight", layout)]
    return [*rows, Row(f"{ours}/bias", f"{theirs}.bias")] if bias else rows


def norm(ours: str, theirs: str, *, bias: bool = True) -> list[Row]:
    """A layer norm, or without a bias an RMS norm."""
    rows = [Row(f"{ours}/scale", f"{theirs}.weight")]
    return [*rows, Row(f"{ours}/bias", f"{theirs}.bias")] if bias else rows


def attention(ours: str, theirs: str, names: Iterable[str], *, bias: bool | Collection[str] = True) -> list[Row]:
    """The projections to queries, keys and values, and back, under the names that they have in that order; `bias` says
    whether they have biases, or which of "query", "key", "value" and "out" do."""
    *inward, out = names
    every = ("query", "key", "value", "out")
    biased = (every if bias else ()) if isinstance(bias, bool) else bias
    rows = []
    for role, name in zip(every, inward):
        rows.append(Row(f"{ours}/{role}/kernel", f"{theirs}.{name}.weight", LINEAR))
        if role in biased:
            rows.append(Row(f"{ours}/{role}/bias", f"{theirs}.{name}.bias", FLAT))
    return rows + linear(f"{ours}/out", f"{theirs}.{out}", bias="out" in biased, layout=LINEAR_OUT)
