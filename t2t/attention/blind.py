"""Whether a pattern leaves some query nothing to see."""

import functools

import numpy as np

from t2t.attention.pattern import Pattern

KEYS = 1024  # looked at in one go


@functools.lru_cache(maxsize=256)
def first_blind(pattern: Pattern, n: int, m: int) -> int | None:
    """The first of n queries that may see none of m keys; None where every query may see some.

    Most patterns let a query see itself, which is looked at first; only the queries that do not are held against all
    keys, as long as they have found none.
    """
    queries = np.arange(n)
    itself = np.broadcast_to(np.asarray(pattern.allows(queries, queries)), (n,))
    left = queries[~(itself & (queries < m))]
    for start in range(0, m, KEYS):
        if not len(left):
            return None
        keys = np.arange(start, min(start + KEYS, m))
        seen = np.broadcast_to(np.asarray(pattern.allows(left[:, None], keys[None])), (len(left), len(keys)))
        left = left[~seen.any(1)]
    return int(left[0]) if len(left) else None
