"""REST: logins and API keys."""

from fastapi import APIRouter, Request

from modelyard.core.errors import Forbidden
from modelyard.core.paging import Page
from modelyard.credentials import jwt
from modelyard.features.auth import operations, schemas
from modelyard.features.auth.dependencies import Public, Reader, Writer
from modelyard.features.auth.passwords import Passwords, hashed
from modelyard.features.auth.tables import ApiKeyRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["auth"], route_class=StrictRoute)


@router.post("/auth/login", dependencies=[Public])
def log_in(body: schemas.Login, request: Request, platform: PlatformOf) -> schemas.Token:
    """Log in with a user name and a password."""
    with platform.database.session(read_only=True) as session:
        found = operations.find_login(session, body.username)
    user = operations.verify(found, body.password, _passwords(request))
    return _token(platform, user.id)


@router.post("/auth/refresh")
def refresh(caller: Reader, platform: PlatformOf) -> schemas.Token:
    """A new token for a caller whose token still holds. An API key gets none: the token would outlive its limits."""
    if caller.key is not None:
        raise Forbidden("An API key cannot be turned into a login. Log in with `POST /api/v1/auth/login`.")
    return _token(platform, caller.user)


@router.get("/auth/me")
def me(caller: Reader, platform: PlatformOf) -> schemas.Me:
    """Who the caller is."""
    return schemas.Me(
        user=caller.user,
        username=caller.username,
        role=caller.role,
        organisation=caller.organisation,
        api_key=caller.key,
        read_only=caller.read_only,
        prefixes=list(caller.prefixes) if caller.prefixes is not None else None,
        enterprise_mode=platform.settings.auth.mode == "off",
    )


@router.post("/auth/password", status_code=204)
def change_password(body: schemas.PasswordChange, caller: Writer, platform: PlatformOf, request: Request) -> None:
    """Replace the caller's own password."""
    if caller.key is not None:
        raise Forbidden("An API key cannot change a password. Log in with `POST /api/v1/auth/login`.")
    with platform.database.session(read_only=True) as session:
        found = operations.find_self(session, caller)
    operations.verify(found, body.old, _passwords(request))
    password_hash = hashed(body.new)
    with platform.database.session() as session:
        operations.set_password(session, caller, password_hash)


@router.post("/api-keys", status_code=201)
def create_key(body: schemas.ApiKeyCreate, caller: Writer, platform: PlatformOf, request: Request) -> schemas.NewApiKey:
    """Make an API key. Its text is in this answer and nowhere else. Every gateway knows it when the answer comes."""
    with platform.database.session() as session:
        row, text = operations.create_key(session, caller, body, platform.clock.now())
    request.app.state.tell(lambda table: row.digest in table.keys)
    return schemas.NewApiKey(**_key(row).model_dump(), key=text)


@router.get("/api-keys")
def list_keys(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.ApiKey]:
    """The caller's API keys."""
    found = operations.list_keys(session, caller, paging)
    return Page(items=[_key(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.delete("/api-keys/{key_id}", status_code=204)
def revoke_key(key_id: str, caller: Writer, platform: PlatformOf, request: Request) -> None:
    """End an API key. Every gateway refuses it when the answer comes, within a second at the most."""
    with platform.database.session() as session:
        digest = operations.revoke_key(session, caller, key_id, platform.clock.now()).digest
    request.app.state.tell(lambda table: digest not in table.keys)


def _token(platform: PlatformOf, user: str) -> schemas.Token:
    seconds = platform.settings.auth.token_seconds
    now = platform.clock.now().timestamp()
    return schemas.Token(access_token=jwt.sign(user, platform.secret, now=now, seconds=seconds), expires_in=seconds)


def _key(row: ApiKeyRow) -> schemas.ApiKey:
    return schemas.ApiKey.model_validate(row, from_attributes=True)


def _passwords(request: Request) -> Passwords:
    checker: Passwords = request.app.state.passwords
    return checker
