"""All that the controller looks at in a turn, in a few queries however many deployments there are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from modelyard.features.deployments import observed_queries, queries
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow
from modelyard.storage.db.engine import now as db_now

GATEWAY_SILENCE = timedelta(seconds=7)
"""A gateway that has not asked for so long is taken to be gone; it asks every five seconds at the least."""


class Revision(NamedTuple):
    """A revision's own words, which never change: see RevisionRow. `versions` are (version id, weight) by slot."""

    number: int
    content: int
    versions: tuple[tuple[str, int], ...]
    traffic: Mapping[str, Any]


NOTHING = Revision(0, 0, (), {})


class Snapshot(NamedTuple):
    """The rows at one moment: deployments, their replicas that have not ended and their newest revisions, by id.

    `acknowledged` is the newest routing table that every gateway serves by, None where there is no gateway.
    """

    now: datetime
    deployments: Sequence[DeploymentRow]
    replicas: Mapping[str, Sequence[ReplicaRow]]
    revisions: Mapping[str, Revision]
    acknowledged: int | None

    def mark(self) -> Any:
        """What differs from another snapshot's wherever a routing table made of it would."""
        deployments = [
            (row.id, row.key, row.wanted, row.revision, row.state, row.lane, row.autoscale) for row in self.deployments
        ]
        return deployments, [(row.id, row.state) for rows in self.replicas.values() for row in rows]

    def addresses(self, state: str) -> dict[str, str]:
        """The addresses of the replicas in this state, by id."""
        return {row.id: row.address for rows in self.replicas.values() for row in rows if row.state == state}

    def replica_ids(self) -> frozenset[str]:
        """Every replica whose process is to be there."""
        return frozenset(row.id for rows in self.replicas.values() for row in rows)


class Photographer:
    """Takes snapshots, and remembers what cannot change in between."""

    def __init__(self) -> None:
        self._revisions: dict[tuple[str, int], Revision] = {}

    def take(self, session: Session) -> Snapshot:
        """The rows as they are now."""
        deployments = queries.every_deployment(session)
        replicas: dict[str, list[ReplicaRow]] = defaultdict(list)
        for row in observed_queries.replicas_here(session):
            replicas[row.deployment].append(row)
        wanted = {(row.id, row.revision) for row in deployments}
        if not wanted <= self._revisions.keys():
            found = observed_queries.newest_revisions(session)
            self._revisions = {(row.deployment, row.number): revision_of(row) for row in found}
        now = db_now(session)
        return Snapshot(
            now=now,
            deployments=deployments,
            replicas=dict(replicas),
            revisions={row.id: self._revisions.get((row.id, row.revision), NOTHING) for row in deployments},
            acknowledged=queries.acknowledged(session, now - GATEWAY_SILENCE),
        )


def revision_of(row: Any) -> Revision:
    """A RevisionRow's words."""
    versions = tuple((entry["version"], entry["weight"]) for entry in row.versions)
    return Revision(row.number, row.content, versions, row.traffic)
