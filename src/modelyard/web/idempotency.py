"""`Idempotency-Key`: a POST that is sent twice with the same key happens once, and both get the same answer.

The key is claimed before the work and the answer kept after it. A process that dies in between leaves the claim: a
repeat is then refused rather than done twice. Refusals that ask to try again (429, 5xx) give the key back.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from anyio import to_thread
from sqlalchemy import LargeBinary, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.core.errors import Conflict, Invalid, ModelyardError
from modelyard.storage.db.base import Table
from modelyard.web.errors import render
from modelyard.web.platform import Platform

KEPT = timedelta(hours=24)
LONGEST_KEY = 255
CREDENTIALS = (b"authorization", b"x-api-key")
SECRET = ("/api/v1/api-keys", "/api/v1/auth/")
"""What is answered there is shown once and kept nowhere, so it cannot be answered again either."""


class IdempotencyRow(Table):
    """One key of one caller for one path; `status` is None while the first request is under way."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class Idempotency:
    """ASGI middleware over POST requests that carry the header."""

    def __init__(self, app: ASGIApp, *, platform: Platform) -> None:
        self._app, self._platform = app, platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
        key = headers.get(b"idempotency-key")
        if scope["type"] != "http" or scope["method"] != "POST" or key is None or scope["path"].startswith(SECRET):
            await self._app(scope, receive, send)
            return
        request_id = scope.get("state", {}).get("request_id", "")
        try:
            row_id = _row_id(key, headers, scope["path"])
            kept = await to_thread.run_sync(self._claim, row_id)
        except ModelyardError as error:
            await render(error, request_id)(scope, receive, send)
            return
        if kept is not None:
            await _replay(kept, send)
            return
        await self._record(row_id, scope, receive, send)

    async def _record(self, row_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 500, bytearray()

        async def recorded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    # Kept before the last byte leaves: whoever has the answer may repeat at once.
                    await to_thread.run_sync(self._keep, row_id, status, bytes(body))
            await send(message)

        await self._app(scope, receive, recorded)

    def _claim(self, row_id: str) -> tuple[int, bytes] | None:
        now = self._platform.clock.now()
        try:
            with self._platform.database.session() as session:
                row = session.get(IdempotencyRow, row_id)
                if row is None:
                    session.add(IdempotencyRow(id=row_id, created_at=now, status=None, body=None))
                    return None
                return _kept(row)
        except IntegrityError:
            raise Conflict("A request with this Idempotency-Key is under way. Wait for its answer.") from None

    def _keep(self, row_id: str, status: int, body: bytes) -> None:
        with self._platform.database.session() as session:
            row = session.get(IdempotencyRow, row_id)
            if row is None:
                return
            if status == 429 or status >= 500:
                session.delete(row)
            else:
                row.status, row.body = status, body


def forget_old(session: Session, now: datetime) -> None:
    """Drop keys older than a day."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - KEPT))


def _row_id(key: bytes, headers: dict[bytes, bytes], path: str) -> str:
    if not 0 < len(key) <= LONGEST_KEY:
        raise Invalid(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters.")
    parts = [key, path.encode(), *(headers.get(name, b"") for name in CREDENTIALS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _kept(row: IdempotencyRow) -> tuple[int, bytes]:
    if row.status is None or row.body is None:
        raise Conflict(
            "The first request with this Idempotency-Key has not finished. Look whether its result is there; "
            "if it is not, send the request again with a new key."
        )
    return row.status, row.body


async def _replay(kept: tuple[int, bytes], send: Send) -> None:
    status, body = kept
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"idempotency-replayed", b"true"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
