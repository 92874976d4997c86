"""SQL over models. Private to this feature. Every query filters by organisation."""

from collections.abc import Sequence

from sqlalchemy import delete, false, func, or_, select
from sqlalchemy.orm import Session

from modelyard.features.models.schemas import Stage
from modelyard.features.models.tables import HoldRow, ModelRow, PrefixRow, VersionRow
from modelyard.storage.db.paging import Paging, Rows, page


def prefix(session: Session, organisation: str, path: str) -> PrefixRow | None:
    """A prefix by its path."""
    return session.scalars(
        select(PrefixRow).where(PrefixRow.organisation == organisation, PrefixRow.path == path)
    ).first()


def prefixes(session: Session, organisation: str) -> Sequence[tuple[PrefixRow, int]]:
    """Every prefix with the number of its models, by path."""
    count = (
        select(func.count())
        .where(ModelRow.organisation == PrefixRow.organisation, ModelRow.prefix == PrefixRow.path)
        .scalar_subquery()
    )
    query = select(PrefixRow, count).where(PrefixRow.organisation == organisation).order_by(PrefixRow.path)
    return [(row, int(models)) for row, models in session.execute(query)]


def model(session: Session, organisation: str, prefix: str, name: str) -> ModelRow | None:
    """A model by its path."""
    wanted = (ModelRow.organisation == organisation, ModelRow.prefix == prefix, ModelRow.name == name)
    return session.scalars(select(ModelRow).where(*wanted)).first()


def models(
    session: Session, organisation: str, prefix: str | None, visible: Sequence[str] | None, paging: Paging
) -> Rows:
    """Models, of one prefix where one is given, and of those below the `visible` ones only where these are given."""
    statement = select(ModelRow).where(ModelRow.organisation == organisation)
    if prefix is not None:
        statement = statement.where(ModelRow.prefix == prefix)
    if visible is not None:
        own = (or_(ModelRow.prefix == one, ModelRow.prefix.startswith(f"{one}/", autoescape=True)) for one in visible)
        statement = statement.where(or_(false(), *own))
    return page(session, statement, ModelRow.id, paging)


def versions(session: Session, model_id: str) -> Sequence[VersionRow]:
    """A model's versions, newest first."""
    return session.scalars(
        select(VersionRow).where(VersionRow.model == model_id).order_by(VersionRow.number.desc())
    ).all()


def version_of_job(session: Session, job_id: str) -> VersionRow | None:
    """The version that a job made."""
    return session.scalars(select(VersionRow).where(VersionRow.job == job_id)).first()


def versions_by_id(session: Session, ids: Sequence[str]) -> Sequence[tuple[VersionRow, ModelRow]]:
    """Versions with their models, in no order."""
    query = select(VersionRow, ModelRow).join(ModelRow, ModelRow.id == VersionRow.model).where(VersionRow.id.in_(ids))
    return [(version, owner) for version, owner in session.execute(query)]


def stages(session: Session) -> dict[str, Stage]:
    """The stage of every version that bears one, by its id."""
    query = select(VersionRow.id, VersionRow.stage).where(VersionRow.stage.is_not(None))
    return {version: stage for version, stage in session.execute(query) if stage is not None}


def holders(session: Session, version_ids: Sequence[str]) -> Sequence[str]:
    """Who needs any of these versions."""
    query = select(HoldRow.holder).where(HoldRow.version.in_(version_ids)).distinct().order_by(HoldRow.holder)
    return session.scalars(query).all()


def drop_holds(session: Session, holder: str) -> None:
    """Forget everything that `holder` held."""
    session.execute(delete(HoldRow).where(HoldRow.holder == holder))
