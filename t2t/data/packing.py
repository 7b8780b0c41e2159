"""Several short examples in one row, so that little of a batch is padding."""

from collections.abc import Sequence


class Packer:
    """First fit over the rows of one batch: an example goes into the first row with room for it on every side.

    What is in a batch depends on nothing but the order of examples, so the batch after it begins at a known example.

    Args:
      rows: how many rows there are.
      limits: the room of a row on each side (inputs, targets).
    """

    def __init__(self, rows: int, limits: Sequence[int]):
        self.rows: list[list] = [[] for _ in range(rows)]
        self._room = [list(limits) for _ in range(rows)]

    def add(self, example, sizes: Sequence[int]) -> bool:
        """Puts an example of these sizes into a row; False, and nothing is changed, where it fits into none."""
        for row, room in zip(self.rows, self._room):
            if all(size <= free for size, free in zip(sizes, room)):
                row.append(example)
                room[:] = [free - size for size, free in zip(sizes, room)]
                return True
        return False
