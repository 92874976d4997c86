"""What follows on a job's end, in the transaction that ends it: a run becomes a version, an upload a sample.

A feature says it for its own kinds of jobs in its `endings.py`, as `ENDINGS`: kind to function. That is how features
above this one are told, which this one does not know.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from functools import cache

from sqlalchemy.orm import Session

from modelyard import features
from modelyard.features.jobs.tables import JobRow

Ending = Callable[[Session, JobRow], None]
"""Called with a job whose state has just become succeeded, failed or stopped. It may change `job.result`."""


def of(kind: str) -> Ending | None:
    """What follows on the end of a job of this kind."""
    return _all().get(kind)


@cache
def _all() -> dict[str, Ending]:
    found: dict[str, Ending] = {}
    for feature in pkgutil.iter_modules(features.__path__):
        name = f"{features.__name__}.{feature.name}.endings"
        if importlib.util.find_spec(name) is not None:
            found |= importlib.import_module(name).ENDINGS
    return found
