"""What can be trained: scenarios, algorithms, and configurations of them."""

from __future__ import annotations

from typing import Any

from modelyard.features.catalogue import schemas
from modelyard.sdk.calls import call, delete, fetch, get, pages, patch, post
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation


class Scenarios(Resource[Mode]):
    """The kinds of problems."""

    @operation
    def list(self) -> Flow[Listing[schemas.Scenario]]:
        """Every scenario."""
        return Listing((yield from pages(self, get("scenarios"), schemas.Scenario)))

    @operation
    def get(self, scenario: str) -> Flow[schemas.Scenario]:
        """One scenario. Raises NotFound."""
        return (yield from fetch(self, get("scenarios", scenario), schemas.Scenario))

    @operation
    def set_default(self, scenario: str, default: str | None) -> Flow[schemas.Scenario]:
        """Say what is trained where nobody names an algorithm: `scenario/name` or a configuration's id.

        None leaves it to the platform. For administrators. Raises Invalid, Disabled, NotFound.
        """
        return (yield from fetch(self, patch("scenarios", scenario, body={"default": default}), schemas.Scenario))


class Algorithms(Resource[Mode]):
    """The built-in ways to train."""

    @operation
    def list(self, scenario: str | None = None) -> Flow[Listing[schemas.Algorithm]]:
        """Every algorithm, or those of one scenario."""
        return Listing((yield from pages(self, get("algorithms", scenario=scenario), schemas.Algorithm)))

    @operation
    def get(self, name: str) -> Flow[schemas.Algorithm]:
        """One algorithm by `scenario/name`; its `parameters` are the JSON schema of its form."""
        return (yield from fetch(self, get("algorithms", *_parts(name)), schemas.Algorithm))

    @operation
    def enable(self, name: str) -> Flow[schemas.Algorithm]:
        """Let an algorithm be used. For administrators."""
        return (yield from self._switch(name, enabled=True))

    @operation
    def disable(self, name: str) -> Flow[schemas.Algorithm]:
        """Let an algorithm be used no more. For administrators. Raises InUse while tasks could run it."""
        return (yield from self._switch(name, enabled=False))

    def _switch(self, name: str, *, enabled: bool) -> Flow[schemas.Algorithm]:
        scenario, short = _parts(name)
        request = patch("algorithms", scenario, short, body={"enabled": enabled})
        return (yield from fetch(self, request, schemas.Algorithm))


class Configurations(Resource[Mode]):
    """Named parameters of algorithms."""

    @operation
    def create(
        self,
        algorithm: str,
        name: str,
        parameters: dict[str, Any] | None = None,
        *,
        title: str = "",
        description: str = "",
        default: bool = False,
    ) -> Flow[schemas.Configuration]:
        """Name parameters, to be used again. Raises ConfigurationTaken, BadParameters, NotFound.

        `default` makes it the one that applies where a task of this algorithm names none; for administrators.
        """
        body = {
            "algorithm": algorithm,
            "name": name,
            "parameters": parameters or {},
            "title": title,
            "description": description,
            "default": default,
        }
        return (yield from fetch(self, post("configurations", body=body), schemas.Configuration))

    @operation
    def list(self, algorithm: str | None = None, *, limit: int | None = None) -> Flow[Listing[schemas.Configuration]]:
        """The configurations of one algorithm, or of all, newest first."""
        request = get("configurations", algorithm=algorithm)
        return Listing((yield from pages(self, request, schemas.Configuration, limit)))

    @operation
    def get(self, configuration: str) -> Flow[schemas.Configuration]:
        """One configuration by its id. Raises NotFound."""
        return (yield from fetch(self, get("configurations", configuration), schemas.Configuration))

    @operation
    def update(self, /, configuration: str, **changes: Any) -> Flow[schemas.Configuration]:
        """Change `title`, `description`, `parameters`, `enabled` or `default`; the last two are for administrators."""
        request = patch("configurations", configuration, body=changes)
        return (yield from fetch(self, request, schemas.Configuration))

    @operation
    def delete(self, configuration: str) -> Flow[None]:
        """Delete a configuration. Raises InUse where tasks were made with it."""
        yield from call(self, delete("configurations", configuration))


def _parts(name: str) -> tuple[str, str]:
    """`scenario/name` taken apart; a name without a scenario finds nothing there."""
    scenario, _, short = name.partition("/")
    return scenario, short or "-"
