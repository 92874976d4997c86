"""Which deployments serve versions that were made from a release: asked before a release is deleted."""

from sqlalchemy.orm import Session

from modelyard.features.deployments import queries
from modelyard.features.models import operations as models


def release_uses(session: Session, release_id: str) -> list[str]:
    """The deployments that hold a version made from a release, as a message names them."""
    held: dict[str, set[str]] = {}
    for row in queries.every_deployment(session):
        revision = queries.revision(session, row.id, row.revision) if row.wanted != "deleted" else None
        held[row.key] = {entry["version"] for entry in revision.versions} if revision else set()
    found = models.versions_by_id(session, sorted(set().union(*held.values())))
    made = {version for version, (row, _) in found.items() if row.lineage.get("release_id") == release_id}
    return [f"deployment {key}" for key, versions in sorted(held.items()) if versions & made]
