"""Password hashing by argon2id with the library's defaults (RFC 9106), few at a time: each takes 64 MiB."""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from modelyard.features.auth.errors import TooManyLogins

_hasher = PasswordHasher()
# Checked when the user is unknown, so that the answer takes as long either way.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$THxRqAoNhp8BmnQf2/TAPQ$Sp07R9Rcv7UDSO7cyJrv+6jRBA6ofRT0x5/zJKQMZ18"


class Passwords:
    """Checks at most `at_once` passwords at the same time and lets few wait."""

    def __init__(self, at_once: int) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    def holds(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the one that was hashed; None stands for a user who is not there."""
        if not self._places.acquire(timeout=2):
            raise TooManyLogins("Too many logins at once. Try again in a few seconds.", retry_after=3)
        try:
            return _hasher.verify(password_hash or _NOBODY, password) and password_hash is not None
        except (VerifyMismatchError, InvalidHashError):
            return False
        finally:
            self._places.release()


def hashed(password: str) -> str:
    """What is kept of a password."""
    return _hasher.hash(password)


def one_time() -> str:
    """A password for the administrator's first login."""
    return secrets.token_urlsafe(15)
