"""Models with versions in a real database, and users' operations on deployments of them, each a transaction."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from features.conftest import NOW
from modelyard.features.auth.permissions import Principal
from modelyard.features.deployments import operations, queries, schemas, shown
from modelyard.features.deployments.tables import EventRow, RevisionRow
from modelyard.features.models import operations as models
from modelyard.storage.db.engine import Database
from modelyard.storage.db.paging import Paging

ALL = Paging(limit=500)


class World:
    """What one user does."""

    def __init__(self, database: Database, principal: Principal) -> None:
        self.database, self.principal = database, principal

    def model(self, path: str, versions: int) -> str:
        """A model with so many versions, v1 and up."""
        with self.database.session() as session:
            add_versions(session, self.principal, path, versions)
        return path

    def do(self, operation: Callable[..., Any], *arguments: Any, by: Principal | None = None) -> schemas.Deployment:
        """The deployment as it is shown after an operation on it."""
        with self.database.session() as session:
            return shown.deployment(session, operation(session, by or self.principal, *arguments, NOW))

    def create(self, key: str, /, **weights: int) -> schemas.Deployment:
        """A deployment of sales/churn's versions with these weights."""
        held = [schemas.DeployedCreate(model=f"sales/churn/{name}", weight=share) for name, share in weights.items()]
        return self.do(operations.create, schemas.DeploymentCreate(key=key, models=held))

    def see(self, key: str) -> schemas.Deployment:
        """A deployment as it is now."""
        with self.database.session(read_only=True) as session:
            return shown.deployment(session, operations.get(session, self.principal, key))

    def revisions(self, key: str) -> list[RevisionRow]:
        """Its revisions, newest first."""
        with self.database.session(read_only=True) as session:
            return list(operations.list_revisions(session, self.principal, key, ALL).rows)

    def events(self, key: str) -> list[EventRow]:
        """Its events, newest first."""
        with self.database.session(read_only=True) as session:
            return list(operations.events(session, self.principal, key, ALL).rows)

    def content(self, key: str) -> int:
        """The number of the revision whose replicas fit the present one."""
        return self.revisions(key)[0].content


def add_versions(session: Session, principal: Principal, path: str, count: int) -> None:
    """So many more versions of a model."""
    row = models.ensure_model(session, principal, models.parse(path), NOW)
    for number in range(row.last_number + 1, row.last_number + count + 1):
        result = {
            "folder": f"versions/{path}/v{number}",
            "checksum": "0" * 64,
            "files": [],
            "signature": {},
            "artifact": {},
            "evaluation": {},
        }
        models.add_version(
            session, row, job=f"job_{row.id}_{number}", created_by=principal.user, result=result, lineage={}, now=NOW
        )


def weights(found: schemas.Deployment, model: str = "sales/churn") -> dict[str, int]:
    """Shares by version."""
    return {held.version: held.weight for held in found.models if held.model == model}


@pytest.fixture
def world(database: Database, administrator: Principal) -> World:
    """A user with the model sales/churn, v1 to v4."""
    made = World(database, administrator)
    made.model("sales/churn", 4)
    return made


@pytest.fixture
def running(database: Database) -> Callable[[], list[Any]]:
    """The canaries that the controller sees."""

    def look() -> list[Any]:
        with database.session(read_only=True) as session:
            return list(queries.running_canaries(session))

    return look
