"""JSON Web Tokens.

What a login answers with and the console sends. Signed with HS256, never anything else (RFC 8725).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt as pyjwt

from modelyard.core.errors import Unauthenticated
from modelyard.credentials.base import Credential, Directory
from modelyard.credentials.internal import derive
from modelyard.protocol.routing import Caller

ISSUER = "modelyard"
ALGORITHM = "HS256"


class Claims(NamedTuple):
    """What a token says: the user's id and, as Unix times in seconds, when it was made and until when it holds."""

    subject: str
    issued_at: float
    expires_at: float


def sign(subject: str, secret: bytes, *, now: float, seconds: float) -> str:
    """A token for the user `subject` that holds for `seconds`."""
    claims = {"sub": subject, "iat": int(now), "exp": int(now + seconds), "iss": ISSUER, "aud": ISSUER}
    return pyjwt.encode(claims, derive(secret, "jwt"), algorithm=ALGORITHM)


def verify(token: str, secret: bytes, *, now: float | None = None) -> Claims:
    """What `token` says, once its signature holds. `now` in Unix seconds, None for the machine's clock.

    Raises Unauthenticated.
    """
    options: Any = {"require": ["exp", "iat", "sub"], "verify_exp": now is None, "verify_iat": False}
    try:
        claims = pyjwt.decode(
            token, derive(secret, "jwt"), algorithms=[ALGORITHM], audience=ISSUER, issuer=ISSUER, options=options
        )
    except pyjwt.ExpiredSignatureError:
        raise Unauthenticated("The login has expired. Log in again.") from None
    except pyjwt.InvalidTokenError:
        raise Unauthenticated("The login token does not hold. Log in again.") from None
    if now is not None and claims["exp"] <= now:
        raise Unauthenticated("The login has expired. Log in again.")
    return Claims(str(claims["sub"]), float(claims["iat"]), float(claims["exp"]))


class JwtCredential(Credential):
    """`Authorization: Bearer <jwt>`."""

    def claims(self, headers: Mapping[str, str]) -> str | None:
        kind, _, value = headers.get("authorization", "").partition(" ")
        return value.strip() if kind.lower() == "bearer" and value.count(".") == 2 else None

    def verify(self, value: str, directory: Directory, *, secret: bytes, now: float) -> Caller:
        claims = verify(value, secret, now=now)
        caller = directory.user(claims.subject)
        if caller is None:
            raise Unauthenticated("This login is no longer valid. Log in again.")
        return caller
