"""Which scenarios there are: one file each."""

from typing import Any

from modelyard.algorithms.scenarios.base import Scenario
from modelyard.core.registry import Registry

_FILES: Registry[Any] = Registry("modelyard.algorithms.scenarios", Scenario, exclude=frozenset({"registry"}))


def names() -> list[str]:
    """Every scenario as it is written outside, sorted."""
    return [name.replace("_", "-") for name in _FILES.names()]


def scenario(name: str) -> Scenario:
    """The scenario of this name. Raises NotFound, naming the choices there are."""
    found: Scenario = _FILES.get(name.replace("-", "_"))()
    return found
