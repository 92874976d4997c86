"""The internal routes' door.

Only the platform's own processes know the token. The gateway never forwards these routes.
"""

from typing import Annotated

from fastapi import Depends, Header

from modelyard.core.errors import NotFound
from modelyard.credentials.internal import HEADER, holds
from modelyard.web.session import PlatformOf


def internal(platform: PlatformOf, token: Annotated[str | None, Header(alias=HEADER)] = None) -> None:
    """FastAPI dependency: whoever lacks the token is told that there is nothing here."""
    if not holds(token, platform.secret):
        raise NotFound("There is nothing here.")


internal.permission = "internal"  # type: ignore[attr-defined]
Internal = Depends(internal)
