"""Four inverse problems that need no data: easy one way, learned the other, and every answer can be verified.

Chance is the best that one answer to every question does.

| task | inputs → targets | accepted | chance |
|---|---|---|---|
| scan_simple, scan_length, scan_addprim_jump | a command → its actions | the exact actions | 0 % |
| integration, integration_hard | f → F | any F with F′ = f | under 1 % |
| decompilation | stack-machine code → an expression | any that executes to the same values | 10 % (always 0) |
| listops, listops_lra | a nested list → its value | the exact digit | 11 % (always 5); 17 % (always 9) |

The mixture `embedded` has one of each.
"""

import functools

from t2t.data.sources import FunctionSource, Generated
from t2t.tasks.embedded import decompilation, draws, integration, listops, scan
from t2t.tasks.mixture import Mixture
from t2t.tasks.registry import register
from t2t.tasks.task import Task

TRAIN, HELD_OUT = 1_000_000, 1_000  # generated examples of each split


class Verified:
    """A metric: the share of answers that a verifier accepts. Targets are the questions."""

    def __init__(self, verify):
        self.verify = verify

    def __call__(self, questions, answers):
        return {"verified": 100.0 * sum(self.verify(q, a) for q, a in zip(questions, answers)) / len(questions)}


def question_or_answer(text, example, is_target):
    """A verifier judges an answer by the question."""
    return example["inputs"] if is_target else text


def _generated(problem, **settings) -> FunctionSource:
    """Train, validation and test splits of a generated problem; no problem is in two of them."""
    if settings:
        problem = functools.partial(problem, **settings)
    return FunctionSource(
        {
            split: functools.partial(
                Generated, functools.partial(draws.draw, problem, split), TRAIN if split == "train" else HELD_OUT
            )
            for split in draws.SPLITS
        }
    )


def _scan(name: str) -> Task:
    return Task(
        name=f"scan_{name}",
        metrics=("exact_match",),
        evaluation_split="test",
        source=FunctionSource({p: functools.partial(scan.examples, name, p) for p in ("train", "test")}),
    )


def _verified(name: str, module, **settings) -> Task:
    return Task(
        name=name,
        source=_generated(module.problem, **settings),
        metrics=(Verified(module.verify),),
        postprocess=question_or_answer,
    )


for _name in ("simple", "length", "addprim_jump"):
    register(_scan(_name))
register(_verified("integration", integration))
register(_verified("integration_hard", integration, difficulty=integration.HARD))
register(_verified("decompilation", decompilation))
register(Task(name="listops", source=_generated(listops.problem), metrics=("exact_match",)))
register(
    Task(
        name="listops_lra", source=_generated(listops.problem, size=listops.LONG_RANGE_ARENA), metrics=("exact_match",)
    )
)
register(
    Mixture(
        name="embedded",
        members=("scan_simple", "integration", "decompilation", "listops"),
        rates=(0.6, 0.15, 0.15, 0.1),
    )
)  # SCAN is the one that must be exact
