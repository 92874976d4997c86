"""Opens the runtime that the settings name."""

from modelyard.core.registry import Registry
from modelyard.core.settings import Settings
from modelyard.runtimes.base import Runtime

REGISTRY: Registry[Runtime] = Registry(
    "modelyard.runtimes",
    Runtime,  # type: ignore[type-abstract]
    exclude=frozenset({"bounds", "kernel", "opened"}),
)


def open_runtime(settings: Settings) -> Runtime:
    """The runtime called `settings.replicas.runtime`. Raises NotFound, naming the choices there are."""
    return REGISTRY.get(settings.replicas.runtime)(settings)
