"""A task shown to a person: its examples at every stage, and how long they are."""

from collections.abc import Iterator

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.tasks.mixture import Mixture
from t2t.tasks.objective import tokenise
from t2t.tasks.task import Task

SAMPLE = 1_000  # examples that percentiles are taken over
PERCENTILES = (50, 90, 99, 100)
MEMBERS = 2  # of a mixture that a list names; `describe` shows them all


def row(entry: Task | Mixture) -> tuple[str, str, str, str]:
    """Name, kind, splits or members, and metrics, for a list of all."""
    if isinstance(entry, Mixture):
        names = [m if isinstance(m, str) else m.name for m in entry.members]
        more = f" and {len(names) - MEMBERS} more" if len(names) > MEMBERS else ""
        members = ", ".join(names[:MEMBERS]) + more
        return entry.name, "mixture", members, entry.rates if isinstance(entry.rates, str) else "explicit rates"
    metrics = ", ".join(
        m if isinstance(m, str) else getattr(m, "__name__", type(m).__name__.lower()) for m in entry.metrics
    )
    return entry.name, entry.objective.kind if entry.objective else "task", ", ".join(entry.splits), metrics


def describe(
    task: Task, vocabulary: Vocabulary, *, split: str | None = None, count: int = 3, data_dir: str | None = None
) -> Iterator[str]:
    """Lines that show `count` examples raw, as text, as tokens and decoded again, and percentiles of lengths."""
    split = split or ("train" if "train" in task.splits else task.splits[0])
    raw = task.raw(split, data_dir)
    yield f"{task.name}, split {split}: {len(raw):,} examples (splits: {', '.join(task.splits)})"
    chosen = np.linspace(0, len(raw) - 1, min(SAMPLE, len(raw))).astype(int)
    lengths, filtered, shown = {"inputs": [], "targets": []}, 0, 0
    for i in map(int, chosen):
        text = task.text(raw[i], np.random.default_rng(i))
        if text is None:
            filtered += 1
            continue
        tokens = tokenise(text, vocabulary)
        for side, values in lengths.items():
            values.append(len(tokens[side]))
        if shown < count:
            shown += 1
            yield f"\nexample {i}"
            yield f"  raw      {_short({k: v for k, v in raw[i].items()})}"
            for side in ("inputs", "targets"):
                yield f"  {side}"
                yield f"    text     {_short(text[side])}"
                yield f"    tokens   {_short(tokens[side].tolist())}"
                yield f"    decoded  {_short(vocabulary.decode(tokens[side]))}"
    yield f"\nlengths in tokens with their end ({len(chosen) - filtered:,} examples" + (
        f", {filtered:,} more were filtered out)" if filtered else ")"
    )
    if lengths["targets"]:
        yield "  " + "percentile".ljust(12) + "".join(f"{p:>8}" for p in PERCENTILES)
        for side, values in lengths.items():
            yield (
                "  "
                + side.ljust(12)
                + "".join(f"{int(v):>8,}" for v in np.percentile(values, PERCENTILES, method="higher"))
            )


def _short(value: object, most: int = 200) -> str:
    text = repr(value) if not isinstance(value, str) else value.replace("\n", "⏎")
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
