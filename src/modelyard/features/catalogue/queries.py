"""SQL over configurations and choices. Private to this feature. Every query filters by organisation."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.features.catalogue.tables import ChoiceRow, ConfigurationRow
from modelyard.storage.db.paging import Paging, Rows, page


def configuration(session: Session, organisation: str, configuration_id: str) -> ConfigurationRow | None:
    """A configuration by id."""
    row = session.get(ConfigurationRow, configuration_id)
    return row if row and row.organisation == organisation else None


def configuration_named(session: Session, organisation: str, algorithm: str, name: str) -> ConfigurationRow | None:
    """A configuration of an algorithm by name."""
    wanted = (
        ConfigurationRow.organisation == organisation,
        ConfigurationRow.algorithm == algorithm,
        ConfigurationRow.name == name,
    )
    return session.scalars(select(ConfigurationRow).where(*wanted)).first()


def configurations(session: Session, organisation: str, algorithm: str | None, paging: Paging) -> Rows:
    """Configurations, newest first."""
    statement = select(ConfigurationRow).where(ConfigurationRow.organisation == organisation)
    if algorithm is not None:
        statement = statement.where(ConfigurationRow.algorithm == algorithm)
    return page(session, statement, ConfigurationRow.id, paging)


def choice(session: Session, organisation: str, subject: str) -> ChoiceRow | None:
    """What was decided about a scenario or an algorithm."""
    return session.get(ChoiceRow, (organisation, subject))


def choices(session: Session, organisation: str) -> dict[str, ChoiceRow]:
    """Everything that was decided, by its subject."""
    found = session.scalars(select(ChoiceRow).where(ChoiceRow.organisation == organisation))
    return {row.subject: row for row in found}


def defaults_to(session: Session, organisation: str, default: str) -> Sequence[ChoiceRow]:
    """The choices whose default this is."""
    wanted = (ChoiceRow.organisation == organisation, ChoiceRow.default == default)
    return session.scalars(select(ChoiceRow).where(*wanted)).all()
