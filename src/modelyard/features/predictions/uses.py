"""Who uses what belongs to others: asked before that is deleted."""

from sqlalchemy.orm import Session

from modelyard.features.jobs import operations as jobs
from modelyard.features.predictions import operations, queries


def release_uses(session: Session, release_id: str) -> list[str]:
    """The batch predictions that are reading a release. Those that have ended need it no more."""
    found = queries.of_release(session, release_id)
    going = jobs.going(session, [row.job for row in found])
    return [operations.holder(row.id) for row in found if row.job in going]
