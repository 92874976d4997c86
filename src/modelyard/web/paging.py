"""The query parameters of every listing."""

from typing import Annotated

from fastapi import Depends, Query

from modelyard.storage.db.paging import Paging


def paging(
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many items.")] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> Paging:
    """FastAPI dependency: which page is asked for."""
    return Paging(limit, cursor)


PagingOf = Annotated[Paging, Depends(paging)]
