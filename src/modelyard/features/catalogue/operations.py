"""What can be trained here. Read-only over the algorithms seam."""

from modelyard.algorithms import registry
from modelyard.features.catalogue.schemas import Algorithm, Scenario


def scenarios() -> list[Scenario]:
    """Every scenario with the number of its algorithms."""
    return [
        Scenario(
            name=scenario.name,
            title=scenario.title,
            description=scenario.description,
            algorithms=len(registry.names(scenario.name)),
        )
        for scenario in registry.scenarios()
    ]


def algorithms(scenario: str | None) -> list[Algorithm]:
    """The algorithms of one scenario, or of all."""
    return [algorithm(name) for name in registry.names(scenario)]


def algorithm(name: str) -> Algorithm:
    """One algorithm, `<scenario>/<name>`. Raises NotFound."""
    return Algorithm.model_validate(registry.describe(name))
