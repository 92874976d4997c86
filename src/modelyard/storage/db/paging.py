"""Listings in pages: newest first, by id, so that a page stays right while rows are added."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session


class Paging(NamedTuple):
    """What a caller asked for: at most `limit` rows after `cursor` (the id of the last row seen)."""

    limit: int = 50
    cursor: str | None = None


class Rows(NamedTuple):
    """A page of rows."""

    rows: Sequence[Any]
    next_cursor: str | None
    total: int


def page(session: Session, statement: Select[Any], by: InstrumentedAttribute[str], paging: Paging) -> Rows:
    """The page of `statement` that `paging` asks for, ordered by the id column `by`, newest first."""
    total = session.scalar(select(func.count()).select_from(statement.subquery())) or 0
    if paging.cursor is not None:
        statement = statement.where(by < paging.cursor)
    found = list(session.scalars(statement.order_by(by.desc()).limit(paging.limit + 1)))
    more = len(found) > paging.limit
    rows = found[: paging.limit]
    cursor = getattr(rows[-1], by.key) if more else None
    return Rows(rows, cursor, total)
