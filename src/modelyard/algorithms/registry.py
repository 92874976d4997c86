"""Which algorithms there are: one file each, `algorithms/<scenario>/<name>.py`, plus installed entry points.

A scenario is a package here that says `TITLE`, `DESCRIPTION` and `DEFAULT`. Outside, names are written with hyphens:
`tabular-classification/lightgbm`. An installed package offers one of its own by an entry point of the group
`modelyard.algorithms` with such a name. Nothing is imported before it is asked for, and no algorithm's file imports
its learning library at the top: forms and lists are shown by processes that never train.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Any, NamedTuple

from modelyard import algorithms
from modelyard.algorithms.base import Algorithm
from modelyard.core.errors import NotFound
from modelyard.core.registry import Registry, installed

GROUP = "modelyard.algorithms"


class Scenario(NamedTuple):
    """One kind of problem. `default` is the algorithm to take where nobody chose one, as `<scenario>/<name>`."""

    name: str
    title: str
    description: str
    default: str


def scenarios() -> list[Scenario]:
    """Every kind of problem that something here can learn, sorted by name."""
    return sorted(
        Scenario(name, package.TITLE, package.DESCRIPTION, f"{name}/{package.DEFAULT}")
        for name, package in _packages().items()
    )


def names(scenario: str | None = None) -> list[str]:
    """Every algorithm as `<scenario>/<name>`, sorted; of one scenario where it is given. Raises NotFound."""
    known = _packages()
    if scenario is not None and scenario not in known:
        raise NotFound(f"There is no scenario {scenario!r}. Choose one of: {', '.join(known)}.")
    files = {f"{name}/{outside(file)}" for name, package in known.items() for file in _files(package).names()}
    points = {point.name for point in installed(GROUP) if point.name.partition("/")[0] in known}
    return sorted(name for name in files | points if scenario in {None, name.partition("/")[0]})


def get(name: str) -> type[Algorithm[Any]]:
    """The algorithm `<scenario>/<name>`. Raises NotFound, naming the choices there are."""
    if name not in names():
        raise NotFound(f"There is no algorithm {name!r}. Choose one of: {', '.join(names())}.")
    for point in installed(GROUP):
        if point.name == name:
            loaded: type[Algorithm[Any]] = point.load()
            return loaded
    scenario, _, file = name.partition("/")
    return _files(_packages()[scenario]).get(file.replace("-", "_"))


def describe(name: str) -> dict[str, Any]:
    """What the catalogue shows of an algorithm; `parameters` is the JSON schema of its form. Raises NotFound."""
    algorithm = get(name)
    return {
        "name": name,
        "scenario": name.partition("/")[0],
        "title": algorithm.title,
        "description": algorithm.description,
        "parameters": algorithm.Parameters.model_json_schema(),
    }


def outside(module: str) -> str:
    """How a module's name is written outside."""
    return module.rpartition(".")[2].replace("_", "-")


def _packages() -> dict[str, ModuleType]:
    """The package of each scenario."""
    found = [
        importlib.import_module(f"{algorithms.__name__}.{module.name}")
        for module in pkgutil.iter_modules(algorithms.__path__)
        if module.ispkg
    ]
    return {outside(package.__name__): package for package in found if hasattr(package, "TITLE")}


def _files(package: ModuleType) -> Registry[Algorithm[Any]]:
    return Registry(package.__name__, Algorithm)  # type: ignore[type-abstract]
