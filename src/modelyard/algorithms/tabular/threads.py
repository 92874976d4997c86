"""How many threads a learner uses: one, or two where there is enough to do for both.

Threads that share a small piece of work spend their time waiting for each other, and on a machine that has other work
they wait for the other work too: ten times slower is usual.
"""

import os
from contextlib import AbstractContextManager

MOST = 2
WORTH_IT = 5_000_000
"""Cells of a matrix from which on a second thread helps."""


def wanted(cells: int) -> int:
    """Threads for work on a matrix of so many cells."""
    return MOST if cells >= WORTH_IT and len(os.sched_getaffinity(0)) >= MOST else 1


def limited(cells: int) -> AbstractContextManager[object]:
    """Inside it, linear algebra uses `wanted(cells)` threads."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limit: AbstractContextManager[object] = threadpool_limits(wanted(cells))
    return limit
