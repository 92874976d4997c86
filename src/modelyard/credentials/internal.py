"""The platform's own secret, and the token by which its processes know each other on the internal routes."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from modelyard.core.errors import Broken
from modelyard.core.settings import Settings

HEADER = "x-modelyard-internal"


def read_secret(settings: Settings) -> bytes:
    """The secret from the settings, else from `secret` in the data folder, made there (0600) at the first start.

    Safe to call from several processes at once: whoever links the file first wins. Raises Broken for a damaged file.
    """
    if settings.secret:
        return settings.secret.encode()
    path = settings.data / "secret"
    if not path.exists():
        _create(path)
    secret = path.read_bytes().strip()
    if len(secret) < 32:
        raise Broken(f"{path} is damaged: expected 64 hexadecimal digits. Restore it from a backup.")
    return secret


def derive(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose only, so that what leaks there opens nothing else (HMAC-SHA-256 as in RFC 5869's
    expand)."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def token(secret: bytes) -> str:
    """What a process of the platform sends in the header `x-modelyard-internal`."""
    return derive(secret, "internal").hex()


def holds(sent: str | None, secret: bytes) -> bool:
    """Whether `sent` is the internal token, in constant time."""
    return sent is not None and hmac.compare_digest(sent.encode(), token(secret).encode())


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
