"""SQL over usage. Private to this feature."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, Select, and_, delete, false, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.features.billing.tables import UsageJournalRow, UsageTotalRow

KEY = ("organisation", "hour", "caller", "prefix", "model", "version", "status")
SUMS = ("requests", "rows", "bytes_in", "bytes_out", "micros")
Column = InstrumentedAttribute[Any]


class Wanted(NamedTuple):
    """Which totals are meant. None is all of them; `prefixes` reach what is below them too."""

    organisation: str
    begin: datetime | None = None
    end: datetime | None = None
    callers: Collection[str] | None = None
    prefixes: Collection[str] | None = None
    within: str | None = None
    model: tuple[str, str] | None = None


def accepted(session: Session, journal: str) -> int:
    """How many bytes of a journal were taken."""
    return session.scalar(select(UsageJournalRow.accepted).where(UsageJournalRow.name == journal)) or 0


def advance(session: Session, journal: str, begin: int, end: int) -> bool:
    """Note that a journal is taken up to `end`; false where somebody else was quicker to move it from `begin`."""
    if begin == 0:
        fresh = _insert(session, UsageJournalRow).values(name=journal, accepted=0)
        session.execute(fresh.on_conflict_do_nothing())
    mine = (UsageJournalRow.name == journal, UsageJournalRow.accepted == begin)
    moved = session.execute(update(UsageJournalRow).where(*mine).values(accepted=end))
    return cast("CursorResult[Any]", moved).rowcount == 1


def mark_shipped(session: Session, journal: str, now: datetime) -> None:
    """Note that a journal's file is gone."""
    session.execute(update(UsageJournalRow).where(UsageJournalRow.name == journal).values(shipped_at=now))


def forget_shipped(session: Session, before: datetime) -> None:
    """Forget journals whose files went before this time."""
    session.execute(delete(UsageJournalRow).where(UsageJournalRow.shipped_at < before))


def add(session: Session, totals: Sequence[dict[str, Any]]) -> None:
    """Add counts to totals, there or not. In the order of their keys, lest two writers block each other."""
    if not totals:
        return
    statement = _insert(session, UsageTotalRow)
    sums = {name: getattr(UsageTotalRow, name) + statement.excluded[name] for name in SUMS}
    ordered = sorted(totals, key=lambda total: [total[name] for name in KEY])
    session.execute(statement.on_conflict_do_update(index_elements=KEY, set_=sums), ordered)


def totals(
    session: Session, wanted: Wanted, by: Sequence[Column], after: Sequence[Any] | None, limit: int
) -> Sequence[Any]:
    """Sums by these columns, newest hour first, those behind the group `after`: the columns' values, then the sums."""
    grouped = _chosen(select(*by, *_sums()), wanted).group_by(*by)
    if after is not None:
        grouped = grouped.where(_behind(by, after))
    order = [column.desc() if column is UsageTotalRow.hour else column for column in by]
    return session.execute(grouped.order_by(*order).limit(limit)).all()


def groups(session: Session, wanted: Wanted, by: Sequence[Column]) -> int:
    """How many groups these columns make."""
    grouped = _chosen(select(*by), wanted).group_by(*by).subquery()
    return session.scalar(select(func.count()).select_from(grouped)) or 0


def overall(session: Session, wanted: Wanted) -> Sequence[Any]:
    """The sums of all that is wanted."""
    return session.execute(_chosen(select(*_sums()), wanted)).one()


def _insert(session: Session, table: type[UsageJournalRow] | type[UsageTotalRow]) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases write alike."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _sums() -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(getattr(UsageTotalRow, name)), 0) for name in SUMS]


def _chosen(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    statement = statement.where(UsageTotalRow.organisation == wanted.organisation)
    if wanted.begin is not None:
        statement = statement.where(UsageTotalRow.hour >= wanted.begin)
    if wanted.end is not None:
        statement = statement.where(UsageTotalRow.hour < wanted.end)
    if wanted.callers is not None:
        statement = statement.where(UsageTotalRow.caller.in_(wanted.callers))
    if wanted.prefixes is not None:
        statement = statement.where(or_(false(), *map(_below, wanted.prefixes)))
    if wanted.within is not None:
        statement = statement.where(_below(wanted.within))
    if wanted.model is not None:
        prefix, model = wanted.model
        statement = statement.where(UsageTotalRow.prefix == prefix, UsageTotalRow.model == model)
    return statement


def _below(prefix: str) -> ColumnElement[bool]:
    """Whether a total is of this prefix or of one below it. Not LIKE: SQLite's takes capitals for small letters."""
    start = func.substr(UsageTotalRow.prefix, 1, len(prefix) + 1)
    return or_(UsageTotalRow.prefix == prefix, start == f"{prefix}/")


def _behind(by: Sequence[Column], after: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a group comes behind `after` in the order of `totals`."""
    ways = []
    for place, (column, value) in enumerate(zip(by, after, strict=True)):
        same = [one == other for one, other in zip(by[:place], after[:place], strict=True)]
        ways.append(and_(*same, column < value if column is UsageTotalRow.hour else column > value))
    return or_(*ways)
