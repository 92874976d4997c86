"""How rows of deployments are shown: what routes answer with."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.orm import Session

from modelyard.features.deployments import queries, schemas
from modelyard.features.deployments.shares import Entry
from modelyard.features.deployments.tables import CanaryRow, DeploymentRow, RevisionRow
from modelyard.features.models import operations as models
from modelyard.protocol.routing import Traffic


def deployment(session: Session, row: DeploymentRow) -> schemas.Deployment:
    """A deployment as it is wanted and as it is."""
    replicas = queries.replicas(session, row.id)
    newest = queries.revision(session, row.id, row.revision)
    fit = [replica for replica in replicas if newest is not None and replica.revision == newest.content]
    return schemas.Deployment(
        id=row.id,
        key=row.key,
        environment=row.environment,
        lane=row.lane,
        replicas=row.replicas,
        ready_replicas=sum(replica.state == "ready" for replica in fit),
        autoscale=schemas.Autoscale.model_validate(row.autoscale) if row.autoscale else None,
        revision=row.revision,
        wanted=row.wanted,
        state=row.state,
        message=row.message,
        models=_deployed(session, newest.versions if newest else ()),
        traffic=_traffic(newest),
        canaries=[canary(session, found) for found in queries.last_canaries(session, row.id)],
        processes=[schemas.Replica.model_validate(replica, from_attributes=True) for replica in replicas],
        created_at=row.created_at,
        created_by=row.created_by,
    )


def revision(session: Session, row: RevisionRow) -> schemas.Revision:
    """What a deployment held once; versions that were deleted since are only counted."""
    there = _deployed(session, row.versions)
    return schemas.Revision(
        number=row.number,
        models=there,
        deleted=len(row.versions) - len(there),
        traffic=_traffic(row),
        note=row.note,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def canary(session: Session, row: CanaryRow) -> schemas.Canary:
    """A canary. Its share is the last that it gave, also where that was taken away again."""
    found = models.versions_by_id(session, [row.version]).get(row.version)
    before = next(entry["weight"] for entry in row.before if entry["version"] == row.version)
    shares = {"running": row.steps[row.step], "succeeded": 100}
    return schemas.Canary(
        id=row.id,
        model=row.model,
        version=f"v{found.version.number}" if found else None,
        state=row.state,
        reason=row.reason,
        share=shares.get(row.state, before),
        step=row.step,
        steps=row.steps,
        step_seconds=row.step_seconds,
        least_requests=row.least_requests,
        error_rate=row.error_rate,
        latency_ratio=row.latency_ratio,
        since=row.since,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _deployed(session: Session, versions: Sequence[Entry]) -> list[schemas.Deployed]:
    found = models.versions_by_id(session, [entry["version"] for entry in versions])
    return [
        schemas.Deployed(
            model=models.name_of(found[entry["version"]].model),
            version=f"v{found[entry['version']].version.number}",
            weight=entry["weight"],
            path=f"/models/{models.name_of(found[entry['version']].model)}/",
        )
        for entry in versions
        if entry["version"] in found
    ]


def _traffic(row: RevisionRow | None) -> list[schemas.Traffic]:
    rules = {path: msgspec.convert(kept, Traffic) for path, kept in row.traffic.items()} if row else {}
    return [
        schemas.Traffic(
            model=path,
            headers=[
                schemas.HeaderRule(header=rule.header, value=rule.value, version=f"v{rule.version}")
                for rule in kept.headers
            ],
            sticky=kept.sticky,
            shadows=[schemas.Shadow(version=f"v{shadow.version}", share=shadow.share) for shadow in kept.shadows],
        )
        for path, kept in sorted(rules.items())
    ]
