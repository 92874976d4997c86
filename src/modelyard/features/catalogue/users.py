"""Who uses an algorithm or a configuration, as the features above this one know it.

A feature says it in its `uses.py`: `algorithm_uses(session, organisation, algorithm)` and
`configuration_uses(session, configuration_id)` name its own things, as "training task churn (task_01…)".
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType

from sqlalchemy.orm import Session

from modelyard import features
from modelyard.core.errors import InUse

MOST_NAMED = 10


def of_algorithm(session: Session, organisation: str, algorithm: str) -> list[str]:
    """Everything that could still run this algorithm."""
    known = [module for module in _modules() if hasattr(module, "algorithm_uses")]
    return [name for module in known for name in module.algorithm_uses(session, organisation, algorithm)]


def of_configuration(session: Session, configuration_id: str) -> list[str]:
    """Everything that is set by this configuration."""
    known = [module for module in _modules() if hasattr(module, "configuration_uses")]
    return [name for module in known for name in module.configuration_uses(session, configuration_id)]


def refuse_if_used(what: str, uses: Sequence[str]) -> None:
    """Refuse to take away what somebody needs. Raises InUse, naming who."""
    if uses:
        more = f" and {len(uses) - MOST_NAMED} more" if len(uses) > MOST_NAMED else ""
        raise InUse(
            f"{what} is in use by {', '.join(uses[:MOST_NAMED])}{more}. Delete those first.",
            detail={"used_by": list(uses)},
        )


@cache
def _modules() -> tuple[ModuleType, ...]:
    names = [f"{features.__name__}.{feature.name}.uses" for feature in pkgutil.iter_modules(features.__path__)]
    return tuple(importlib.import_module(name) for name in names if importlib.util.find_spec(name) is not None)
