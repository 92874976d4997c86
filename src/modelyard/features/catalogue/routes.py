"""REST: scenarios, algorithms and configurations."""

from fastapi import APIRouter

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Manager, Reader, Writer
from modelyard.features.catalogue import configurations, operations, schemas
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["catalogue"], route_class=StrictRoute)


@router.get("/scenarios")
def list_scenarios(caller: Reader, session: DbSession) -> Page[schemas.Scenario]:
    """Every kind of problem."""
    items = operations.scenarios(session, caller)
    return Page(items=items, total=len(items))


@router.get("/scenarios/{scenario}")
def show_scenario(scenario: str, caller: Reader, session: DbSession) -> schemas.Scenario:
    """One kind of problem."""
    return operations.scenario(session, caller, scenario)


@router.patch("/scenarios/{scenario}")
def change_scenario(
    scenario: str, body: schemas.ScenarioChange, caller: Manager, session: DbSession
) -> schemas.Scenario:
    """Say what is trained where nobody names an algorithm."""
    return operations.set_default(session, caller, scenario, body.default)


@router.get("/algorithms")
def list_algorithms(caller: Reader, session: DbSession, scenario: str | None = None) -> Page[schemas.Algorithm]:
    """Every algorithm with its form."""
    items = operations.algorithms(session, caller, scenario)
    return Page(items=items, total=len(items))


@router.get("/algorithms/{scenario}/{name}")
def show_algorithm(scenario: str, name: str, caller: Reader, session: DbSession) -> schemas.Algorithm:
    """One algorithm with its form."""
    return operations.algorithm(session, caller, f"{scenario}/{name}")


@router.patch("/algorithms/{scenario}/{name}")
def change_algorithm(
    scenario: str, name: str, body: schemas.AlgorithmChange, caller: Manager, session: DbSession
) -> schemas.Algorithm:
    """Switch an algorithm on or off; off is refused while tasks could run it."""
    return operations.set_enabled(session, caller, f"{scenario}/{name}", enabled=body.enabled)


@router.post("/configurations", status_code=201)
def create_configuration(
    body: schemas.ConfigurationCreate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Configuration:
    """Name parameters of an algorithm, to be used again."""
    return configurations.create(session, caller, body, platform.clock.now())


@router.get("/configurations")
def list_configurations(
    caller: Reader, session: DbSession, paging: PagingOf, algorithm: str | None = None
) -> Page[schemas.Configuration]:
    """Configurations, newest first; those that come with algorithms stand at the end."""
    found = configurations.list_rows(session, caller, algorithm, paging)
    items = [configurations.shown(session, caller, row) for row in found.rows]
    builtin = configurations.all_presets(session, caller, algorithm)
    last = builtin if found.next_cursor is None else []
    return Page(items=items + last, next_cursor=found.next_cursor, total=found.total + len(builtin))


@router.get("/configurations/{configuration}")
def show_configuration(configuration: str, caller: Reader, session: DbSession) -> schemas.Configuration:
    """One configuration."""
    return configurations.get(session, caller, configuration)


@router.patch("/configurations/{configuration}")
def change_configuration(
    configuration: str, body: schemas.ConfigurationChange, caller: Writer, session: DbSession
) -> schemas.Configuration:
    """Change a configuration; only administrators switch one on or off or make it the default."""
    return configurations.change(session, caller, configuration, body)


@router.delete("/configurations/{configuration}", status_code=204)
def delete_configuration(configuration: str, caller: Writer, session: DbSession) -> None:
    """Delete a configuration; refused while tasks are set by it."""
    configurations.delete(session, caller, configuration)
