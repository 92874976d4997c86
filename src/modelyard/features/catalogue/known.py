"""The algorithms there are, each looked up once: what is installed does not change while a process runs.

Looking means reading what every installed package offers, which is too slow to be done for each request.
"""

from functools import cache
from typing import Any

from modelyard.algorithms import registry
from modelyard.algorithms.base import Algorithm


@cache
def names(scenario: str | None = None) -> tuple[str, ...]:
    """Every algorithm as `<scenario>/<name>`, sorted; of one scenario where it is given. Raises NotFound."""
    return tuple(registry.names(scenario))


@cache
def algorithm(name: str) -> type[Algorithm[Any]]:
    """The algorithm `<scenario>/<name>`. Raises NotFound, naming the choices there are."""
    return registry.get(name)


@cache
def described(name: str) -> dict[str, Any]:
    """What is to be shown of an algorithm, as registry.describe says it. Raises NotFound."""
    return registry.describe(name)
