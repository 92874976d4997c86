"""SQL over users and keys. Private to this feature."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from modelyard.features.auth.tables import ApiKeyRow, OrganisationRow, UserRow
from modelyard.storage.db.paging import Paging, Rows, page


def any_organisation(session: Session) -> OrganisationRow | None:
    """The organisation, None before the first start is over."""
    return session.scalars(select(OrganisationRow).order_by(OrganisationRow.id).limit(1)).first()


def user_by_name(session: Session, username: str) -> UserRow | None:
    """A user who may log in under this name."""
    return session.scalars(select(UserRow).where(UserRow.username == username, UserRow.disabled.is_(False))).first()


def user(session: Session, user_id: str) -> UserRow | None:
    """A user who is not disabled."""
    row = session.get(UserRow, user_id)
    return None if row is None or row.disabled else row


def first_administrator(session: Session) -> UserRow:
    """The administrator of the first start."""
    query = select(UserRow).where(UserRow.role == "administrator", UserRow.disabled.is_(False)).order_by(UserRow.id)
    return session.scalars(query).first() or _missing()


def key_by_digest(session: Session, digest: str) -> ApiKeyRow | None:
    """A key that was not revoked."""
    return session.scalars(select(ApiKeyRow).where(ApiKeyRow.digest == digest, ApiKeyRow.revoked_at.is_(None))).first()


def keys_of(session: Session, user_id: str, paging: Paging) -> Rows:
    """A user's keys, revoked ones among them."""
    return page(session, select(ApiKeyRow).where(ApiKeyRow.user == user_id), ApiKeyRow.id, paging)


def key_ids(session: Session, user_id: str) -> Sequence[str]:
    """The ids of a user's keys, revoked ones among them."""
    return session.scalars(select(ApiKeyRow.id).where(ApiKeyRow.user == user_id)).all()


def organisations_of(session: Session, callers: Collection[str]) -> dict[str, str]:
    """The organisations of keys and users, by id."""
    found: dict[str, str] = {}
    for table in (ApiKeyRow, UserRow):
        rows = session.execute(select(table.id, table.organisation).where(table.id.in_(callers)))
        found.update((key, organisation) for key, organisation in rows)
    return found


def live_keys(session: Session, now: datetime) -> Sequence[tuple[ApiKeyRow, UserRow]]:
    """Every key that opens something now, with its owner."""
    query = (
        select(ApiKeyRow, UserRow)
        .join(UserRow, UserRow.id == ApiKeyRow.user)
        .where(
            ApiKeyRow.revoked_at.is_(None),
            UserRow.disabled.is_(False),
            or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now),
        )
        .order_by(ApiKeyRow.id)
    )
    return [(key, owner) for key, owner in session.execute(query)]


def callers_mark(session: Session, now: datetime) -> tuple[int, ...]:
    """How many keys and users there are, revoked, expired and disabled ones apart: none of these counts ever falls."""
    keys = select(
        func.count(),
        func.count(ApiKeyRow.revoked_at),
        func.coalesce(func.sum(case((ApiKeyRow.expires_at <= now, 1), else_=0)), 0),
    ).select_from(ApiKeyRow)
    users = select(func.count(), func.coalesce(func.sum(case((UserRow.disabled, 1), else_=0)), 0)).select_from(UserRow)
    return (*map(int, session.execute(keys).one()), *map(int, session.execute(users).one()))


def live_users(session: Session) -> Sequence[UserRow]:
    """Every user who may log in."""
    return session.scalars(select(UserRow).where(UserRow.disabled.is_(False)).order_by(UserRow.id)).all()


def _missing() -> UserRow:
    raise LookupError("no administrator: the first start was not finished")
