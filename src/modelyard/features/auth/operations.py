"""What the platform does about people and their credentials."""

import ipaddress
import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid, NotFound
from modelyard.core.settings import Settings
from modelyard.credentials import api_key
from modelyard.credentials.presented import Presented
from modelyard.features.auth import passwords, queries
from modelyard.features.auth.errors import WrongLogin
from modelyard.features.auth.permissions import Principal, check
from modelyard.features.auth.schemas import ApiKeyCreate
from modelyard.features.auth.tables import ApiKeyRow, OrganisationRow, UserRow
from modelyard.protocol.routing import Caller
from modelyard.storage.db.paging import Paging, Rows

__all__ = ["Principal", "check"]

log = logging.getLogger("modelyard.auth")
ADMINISTRATOR = "admin"
USED_EVERY = timedelta(minutes=1)


class FirstLogin(dict[str, str]):
    """What the administrator needs for the first login: `username`, `password`, `api_key`."""


def set_up(session: Session, now: datetime) -> FirstLogin | None:
    """Make the organisation and its administrator at the first start; None at any other."""
    if queries.any_organisation(session) is not None:
        return None
    organisation = OrganisationRow(id=ids.new("org"), name="default", created_at=now)
    session.add(organisation)
    session.flush()
    password = passwords.one_time()
    administrator = UserRow(
        id=ids.new("user"),
        organisation=organisation.id,
        username=ADMINISTRATOR,
        role="administrator",
        password_hash=passwords.hashed(password),
        disabled=False,
        created_at=now,
    )
    session.add(administrator)
    session.flush()
    _, text = _add_key(session, administrator, ApiKeyCreate(name="first login"), now)
    return FirstLogin(username=ADMINISTRATOR, password=password, api_key=text)


def find_login(session: Session, username: str) -> UserRow | None:
    """Who might log in under this name: `verify` it outside the transaction, for that takes long."""
    return queries.user_by_name(session, username)


def find_self(session: Session, principal: Principal) -> UserRow | None:
    """The caller's own row."""
    return queries.user(session, principal.user)


def verify(user: UserRow | None, password: str, checker: passwords.Passwords) -> UserRow:
    """The user, once the password is that user's. Raises WrongLogin, TooManyLogins.

    Takes as long for a user who is not there.
    """
    if not checker.holds(password, user.password_hash if user else None) or user is None:
        raise WrongLogin("The user name or the password is wrong.")
    return user


def set_password(session: Session, principal: Principal, password_hash: str) -> None:
    """Keep the hash of the caller's new password."""
    user = queries.user(session, principal.user)
    if user is None:
        raise NotFound("The calling user is no longer there.")
    user.password_hash = password_hash


def create_key(session: Session, principal: Principal, wanted: ApiKeyCreate, now: datetime) -> tuple[ApiKeyRow, str]:
    """A new key of the caller and its text, which is nowhere kept.

    Raises Invalid where it would open more than the caller may.
    """
    if wanted.expires_at is not None and wanted.expires_at.tzinfo is None:
        raise Invalid("expires_at needs a time zone, as in 2030-01-01T00:00:00Z.", fields=[_field("expires_at")])
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise Invalid("expires_at lies in the past.", fields=[_field("expires_at")])
    for prefix in wanted.prefixes or []:
        check(principal, "read", prefix=prefix)
    if principal.prefixes is not None and wanted.prefixes is None:
        wanted = wanted.model_copy(update={"prefixes": list(principal.prefixes)})
    user = queries.user(session, principal.user)
    if user is None:
        raise NotFound("The calling user is no longer there.")
    return _add_key(session, user, wanted, now)


def list_keys(session: Session, principal: Principal, paging: Paging) -> Rows:
    """The caller's own keys."""
    return queries.keys_of(session, principal.user, paging)


def find_key(session: Session, principal: Principal, key_id: str) -> ApiKeyRow:
    """A key of the caller's organisation that was not revoked, whosever it is. Raises NotFound."""
    key = session.get(ApiKeyRow, key_id)
    if key is None or key.organisation != principal.organisation or key.revoked_at is not None:
        raise NotFound(f"There is no API key {key_id!r}. See `modelyard key list`.")
    return key


def revoke_key(session: Session, principal: Principal, key_id: str, now: datetime) -> ApiKeyRow:
    """End a key of the caller's, by id. Raises NotFound. Revoking twice changes nothing."""
    key = session.get(ApiKeyRow, key_id)
    if key is None or key.organisation != principal.organisation or key.user != principal.user:
        raise NotFound(f"There is no API key {key_id!r}. See `modelyard key list`.")
    key.revoked_at = key.revoked_at or now
    return key


def identify(
    session: Session, headers: Mapping[str, str], presented: Presented, settings: Settings, now: datetime
) -> Principal:
    """Who sent a request with these headers. Raises Unauthenticated."""
    if settings.auth.mode == "off":
        return _principal(queries.first_administrator(session), None)
    directory = _Database(session)
    presented.caller(headers, directory, now=now.timestamp())
    assert directory.found is not None
    return directory.found


def refuse_open_access_in_public(settings: Settings) -> None:
    """Enterprise mode is for closed networks: raises Invalid where the port is bound to a public or every address."""
    if settings.auth.mode not in {"on", "off"}:
        raise Invalid(f"MODELYARD_AUTH={settings.auth.mode!r}: choose `on` or `off`.")
    host = settings.server.host
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if settings.auth.mode == "off" and (address.is_unspecified or not address.is_private):
        raise Invalid(
            f"MODELYARD_AUTH=off lets everybody in, and {host} can be reached from outside. "
            "Bind a private address (MODELYARD_HOST=127.0.0.1) or switch authentication on."
        )


def callers(session: Session, now: datetime) -> tuple[dict[str, Caller], dict[str, Caller]]:
    """All live keys by digest and all users by id, as the routing table holds them."""
    keys = {key.digest: _caller(owner, key) for key, owner in queries.live_keys(session, now)}
    users = {user.id: _caller(user, None) for user in queries.live_users(session)}
    return keys, users


def callers_mark(session: Session, now: datetime) -> tuple[int, ...]:
    """Figures that differ wherever `callers` would: cheap enough to be asked for several times a second."""
    return queries.callers_mark(session, now)


def callers_of(session: Session, principal: Principal) -> list[str]:
    """The ids under which the principal's user calls: the user's own, and those of all keys, revoked ones too."""
    return [principal.user, *queries.key_ids(session, principal.user)]


def organisations_of(session: Session, callers: Collection[str]) -> dict[str, str]:
    """Whose these callers (ids of keys or users) are; one that nobody knows counts as the first organisation's."""
    known, first = queries.organisations_of(session, callers), queries.any_organisation(session)
    return {caller: known.get(caller) or (first.id if first else "") for caller in callers}


def use_is_stale(session: Session, principal: Principal, now: datetime) -> bool:
    """Whether the key's last use is to be noted again; it is kept to the minute."""
    key = session.get(ApiKeyRow, principal.key) if principal.key else None
    return key is not None and (key.last_used_at is None or now - key.last_used_at > USED_EVERY)


def note_use(session: Session, principal: Principal, now: datetime) -> None:
    """Remember when the caller's key was last used."""
    key = session.get(ApiKeyRow, principal.key) if principal.key else None
    if key is not None:
        key.last_used_at = now


class _Database:
    """The Directory over the database, remembering who was found."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.found: Principal | None = None

    def key(self, digest: str) -> Caller | None:
        row = queries.key_by_digest(self._session, digest)
        user = queries.user(self._session, row.user) if row else None
        return self._remember(user, row) if row and user else None

    def user(self, user_id: str) -> Caller | None:
        user = queries.user(self._session, user_id)
        return self._remember(user, None) if user else None

    def _remember(self, user: UserRow, key: ApiKeyRow | None) -> Caller:
        self.found = _principal(user, key)
        return _caller(user, key)


def _caller(user: UserRow, key: ApiKeyRow | None) -> Caller:
    return Caller(
        id=key.id if key else user.id,
        user=user.id,
        read_only=key.read_only if key else False,
        prefixes=tuple(key.prefixes) if key and key.prefixes is not None else None,
        expires_at=key.expires_at.timestamp() if key and key.expires_at else None,
    )


def _principal(user: UserRow, key: ApiKeyRow | None) -> Principal:
    return Principal(
        user=user.id,
        username=user.username,
        organisation=user.organisation,
        role=user.role,
        key=key.id if key else None,
        read_only=key.read_only if key else False,
        prefixes=tuple(key.prefixes) if key and key.prefixes is not None else None,
    )


def _add_key(session: Session, user: UserRow, wanted: ApiKeyCreate, now: datetime) -> tuple[ApiKeyRow, str]:
    made = api_key.make()
    row = ApiKeyRow(
        id=ids.new("key"),
        organisation=user.organisation,
        user=user.id,
        name=wanted.name,
        hint=made.hint,
        digest=made.digest,
        read_only=wanted.read_only,
        prefixes=list(wanted.prefixes) if wanted.prefixes is not None else None,
        created_at=now,
        expires_at=wanted.expires_at,
    )
    session.add(row)
    session.flush()
    return row, made.text


def _field(name: str) -> dict[str, str]:
    return {"field": name, "message": "see the message above"}
