"""The one mechanism behind every seam: a new file in the seam's folder is a new choice.

Names are the modules of the seam's package (other than `base` and those that begin with `_`),
plus installed entry points of the group `modelyard.<seam>`. A module is imported only when asked for.
"""

import importlib
import pkgutil
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from modelyard.core.errors import NotFound

Base = TypeVar("Base")


def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group. They are read once for each search path, which takes milliseconds every time."""
    return _installed(group, tuple(sys.path))


@cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:  # noqa: ARG001 - what it depends on
    return tuple(entry_points(group=group))


class Registry(Generic[Base]):
    """The choices of one seam.

    `package` is the dotted name of the seam's folder, `base` the class that each choice derives from.
    `exclude` names helper modules that live in the folder but offer no choice.
    """

    def __init__(self, package: str, base: type[Base], *, exclude: frozenset[str] = frozenset()) -> None:
        self._package = package
        self._base = base
        self._exclude = exclude | {"base"}
        self._group = package

    def names(self) -> list[str]:
        """Every choice there is, sorted."""
        folder = importlib.import_module(self._package)
        files = {
            module.name
            for module in pkgutil.iter_modules(folder.__path__)
            if module.name not in self._exclude and not module.name.startswith("_") and not module.ispkg
        }
        return sorted(files | {point.name for point in installed(self._group)})

    def get(self, name: str) -> type[Base]:
        """The class called `name`.

        Raises NotFound, naming the choices there are.
        """
        for point in installed(self._group):
            if point.name == name:
                loaded: type[Base] = point.load()
                return loaded
        if name not in self.names():
            choices = ", ".join(self.names())
            kind = self._package.rpartition(".")[2]
            raise NotFound(f"There is no {kind} called {name!r}. Choose one of: {choices}.")
        module = importlib.import_module(f"{self._package}.{name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self._base) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            raise TypeError(f"{module.__name__} must define exactly one {self._base.__name__}, found {len(own)}")
        return own[0]
