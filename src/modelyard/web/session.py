"""One request is one session is one transaction, committed here, at the edge, before the answer is sent."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from modelyard.web.platform import Platform, platform_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def open_session(request: Request, platform: Annotated[Platform, Depends(platform_of)]) -> Iterator[Session]:
    """The request's transaction; a reading request takes no write lock."""
    with platform.database.session(read_only=request.method in SAFE_METHODS) as session:
        yield session


# scope="function": the transaction ends before the answer leaves, so that whoever reads the answer finds the rows.
DbSession = Annotated[Session, Depends(open_session, scope="function")]
PlatformOf = Annotated[Platform, Depends(platform_of)]
