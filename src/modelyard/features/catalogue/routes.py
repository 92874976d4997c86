"""REST: scenarios and algorithms."""

from fastapi import APIRouter

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader
from modelyard.features.catalogue import operations, schemas
from modelyard.web.requests import StrictRoute

router = APIRouter(prefix="/api/v1", tags=["catalogue"], route_class=StrictRoute)


@router.get("/scenarios")
def list_scenarios(caller: Reader) -> Page[schemas.Scenario]:  # noqa: ARG001
    """Every kind of problem."""
    items = operations.scenarios()
    return Page(items=items, total=len(items))


@router.get("/algorithms")
def list_algorithms(caller: Reader, scenario: str | None = None) -> Page[schemas.Algorithm]:  # noqa: ARG001
    """Every algorithm with its form."""
    items = operations.algorithms(scenario)
    return Page(items=items, total=len(items))


@router.get("/algorithms/{scenario}/{name}")
def show_algorithm(scenario: str, name: str, caller: Reader) -> schemas.Algorithm:  # noqa: ARG001
    """One algorithm with its form."""
    return operations.algorithm(f"{scenario}/{name}")
