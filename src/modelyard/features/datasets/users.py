"""Who uses a release: asked of every feature above this one, which this one does not know.

A feature says it in its `uses.py`, as `release_uses(session, release_id)`: names for a person, such as
"version sales/churn/v3".
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from functools import cache

from sqlalchemy.orm import Session

from modelyard import features

Uses = Callable[[Session, str], list[str]]


def of_release(session: Session, release_id: str) -> list[str]:
    """Everything that needs a release, named for a person."""
    return [name for uses in _all() for name in uses(session, release_id)]


@cache
def _all() -> tuple[Uses, ...]:
    found = []
    for feature in pkgutil.iter_modules(features.__path__):
        name = f"{features.__name__}.{feature.name}.uses"
        if importlib.util.find_spec(name) is not None:
            found.append(importlib.import_module(name).release_uses)
    return tuple(found)
