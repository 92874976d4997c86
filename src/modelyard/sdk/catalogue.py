"""What can be trained: scenarios and algorithms."""

from __future__ import annotations

from modelyard.features.catalogue import schemas
from modelyard.sdk.calls import fetch, get, pages
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation


class Scenarios(Resource[Mode]):
    """The kinds of problems."""

    @operation
    def list(self) -> Flow[Listing[schemas.Scenario]]:
        """Every scenario."""
        return Listing((yield from pages(self, get("scenarios"), schemas.Scenario)))


class Algorithms(Resource[Mode]):
    """The built-in ways to train."""

    @operation
    def list(self, scenario: str | None = None) -> Flow[Listing[schemas.Algorithm]]:
        """Every algorithm, or those of one scenario."""
        return Listing((yield from pages(self, get("algorithms", scenario=scenario), schemas.Algorithm)))

    @operation
    def get(self, name: str) -> Flow[schemas.Algorithm]:
        """One algorithm by `scenario/name`; its `parameters` are the JSON schema of its form."""
        return (yield from fetch(self, get("algorithms", name), schemas.Algorithm))
