"""Who is calling: logins and API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.features.auth import schemas
from modelyard.sdk.calls import call, delete, fetch, get, pages, post_secret
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation


class Auth(Resource[Mode]):
    """Logins."""

    @operation
    def login(self, username: str, password: str) -> Flow[schemas.Token]:
        """Log in; the client acts as this user from now on, until the token expires.

        Raises WrongLogin.
        """
        request = post_secret("auth", "login", body={"username": username, "password": password}, repeatable=True)
        return (yield from self._take(fetch(self, request, schemas.Token)))

    @operation
    def refresh(self) -> Flow[schemas.Token]:
        """A new token before the present one expires."""
        return (yield from self._take(fetch(self, post_secret("auth", "refresh", repeatable=True), schemas.Token)))

    @operation
    def me(self) -> Flow[schemas.Me]:
        """Who the client acts as, and what that allows."""
        return (yield from fetch(self, get("auth", "me"), schemas.Me))

    @operation
    def change_password(self, old: str, new: str) -> Flow[None]:
        """Replace the caller's own password. Raises WrongLogin where the old one is wrong."""
        yield from call(self, post_secret("auth", "password", body={"old": old, "new": new}, repeatable=False))

    def _take(self, flow: Flow[schemas.Token]) -> Flow[schemas.Token]:
        token = yield from flow
        self._connection.authenticate(token=token.access_token)
        return token


class Keys(Resource[Mode]):
    """The caller's API keys."""

    @operation
    def create(
        self,
        name: str = "",
        *,
        read_only: bool = False,
        prefixes: Sequence[str] | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Flow[schemas.NewApiKey]:
        """A new key; its `key` is told this once. `prefixes` None reaches all that the caller reaches.

        `expires` is a time with a zone, or how long from now.
        """
        at = datetime.now(UTC) + expires if isinstance(expires, timedelta) else expires
        body: dict[str, Any] = {"name": name, "read_only": read_only, "prefixes": prefixes, "expires_at": at}
        return (yield from fetch(self, post_secret("api-keys", body=body, repeatable=False), schemas.NewApiKey))

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[schemas.ApiKey]]:
        """The caller's keys, newest first."""
        return Listing((yield from pages(self, get("api-keys"), schemas.ApiKey, limit)))

    @operation
    def revoke(self, key_id: str) -> Flow[None]:
        """End a key; every gateway refuses it within a second."""
        yield from call(self, delete("api-keys", key_id))
