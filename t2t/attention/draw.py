"""A picture of a pattern: who sees whom."""

from t2t.attention.pattern import Pattern


class Drawing(str):
    """A pattern drawn in text, two rows of queries a line: printed it is a picture, and in a notebook it is one too."""

    mask = None

    def __repr__(self) -> str:
        return str(self)

    def _repr_svg_(self) -> str:
        n, m = self.mask.shape
        squares = "".join(
            f'<rect x="{start}" y="{i}" width="{length}" height="1"/>'
            for i in range(n)
            for start, length in _runs(self.mask[i])
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{6 * m}" height="{6 * n}" viewBox="0 0 {m} {n}" '
            f'shape-rendering="crispEdges"><rect width="{m}" height="{n}" fill="#eee"/>'
            f'<g fill="#246">{squares}</g></svg>'
        )


def draw(pattern: Pattern, n: int, m: int | None = None) -> Drawing:
    """Draws a pattern for n queries (downwards) and m keys (to the right; n if not given).

    Returns:
      A text of ⌈n / 2⌉ lines of m characters, in which a filled half says that a pair meets.
    """
    mask = pattern.mask(n, m)
    rows = [mask[i] for i in range(n)] + [mask[0] & False] * (n % 2)
    marks = {(False, False): "·", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    lines = [
        "".join(marks[bool(a), bool(b)] for a, b in zip(above, below)) for above, below in zip(rows[::2], rows[1::2])
    ]
    drawing = Drawing("\n".join(lines))
    drawing.mask = mask
    return drawing


def _runs(row) -> list[tuple[int, int]]:
    """(start, length) of each run of true values."""
    runs, start = [], None
    for j, here in enumerate([*row, False]):
        if here and start is None:
            start = j
        elif not here and start is not None:
            runs.append((start, j - start))
            start = None
    return runs
