"""API keys: 256 random bits, stored as their SHA-256 only. No slow hash, since the entropy is in the key itself."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from modelyard.core.errors import Unauthenticated
from modelyard.credentials.base import Credential, Directory
from modelyard.protocol.routing import Caller

PREFIX = "my_"


class NewKey(NamedTuple):
    """A key just made: the text that is shown once, its public beginning, and the digest that is kept."""

    text: str
    hint: str
    digest: str


def make() -> NewKey:
    """A fresh key, `my_<8 public characters>_<secret>`."""
    hint = PREFIX + secrets.token_hex(4)
    text = f"{hint}_{secrets.token_urlsafe(32)}"
    return NewKey(text, hint, digest(text))


def digest(text: str) -> str:
    """What is kept of a key: its SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class ApiKeyCredential(Credential):
    """`x-api-key: <key>` or `Authorization: Bearer <key>`."""

    def claims(self, headers: Mapping[str, str]) -> str | None:
        own = headers.get("x-api-key", "").strip()
        if own:
            return own
        kind, _, value = headers.get("authorization", "").partition(" ")
        return value.strip() if kind.lower() == "bearer" and value.strip().startswith(PREFIX) else None

    def verify(self, value: str, directory: Directory, *, secret: bytes, now: float) -> Caller:  # noqa: ARG002
        caller = directory.key(digest(value))
        if caller is None:
            raise Unauthenticated("The API key is unknown or was revoked. Create one with `modelyard key create`.")
        if caller.expires_at is not None and caller.expires_at <= now:
            raise Unauthenticated("The API key has expired. Create a new one with `modelyard key create`.")
        return caller
