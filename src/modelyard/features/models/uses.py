"""Which versions were made from a release: asked before a release is deleted."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.features.models.operations import name_of
from modelyard.features.models.tables import ModelRow, VersionRow


def release_uses(session: Session, release_id: str) -> list[str]:
    """The versions made from a release, as a message names them."""
    query = (
        select(VersionRow, ModelRow)
        .join(ModelRow, ModelRow.id == VersionRow.model)
        .where(VersionRow.lineage["release_id"].as_string() == release_id)
        .order_by(VersionRow.id)
    )
    return [f"version {name_of(model, version)}" for version, model in session.execute(query)]
