"""REST: usage."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.features.auth.dependencies import Reader
from modelyard.features.auth.schemas import Prefix
from modelyard.features.billing import operations, schemas
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession

router = APIRouter(prefix="/api/v1/usage", tags=["usage"], route_class=StrictRoute)


@router.get("")
def totals(
    caller: Reader,
    session: DbSession,
    paging: PagingOf,
    begin: Annotated[datetime | None, Query(alias="from", description="From the hour that holds this time.")] = None,
    end: Annotated[datetime | None, Query(alias="to", description="Hours that begin before this time.")] = None,
    by: Annotated[
        str, Query(max_length=200, description="What to group by: hour, key, prefix, model, version, status.")
    ] = "model",
    key: Annotated[schemas.CallerId | None, Query(description="Of this API key or user, by id.")] = None,
    prefix: Annotated[Prefix | None, Query(description="Of this prefix and those below it.")] = None,
    model: Annotated[schemas.ModelPath | None, Query(description="Of this model, as `prefix/name`.")] = None,
) -> schemas.Usage:
    """What was called, how often and how much, in totals by the hour: administrators see all, others their own keys'.

    A call is counted a second or two after its answer.
    """
    asked = operations.Filter(begin=begin, end=end, key=key, prefix=prefix, model=model)
    return operations.usage(session, caller, [name.strip() for name in by.split(",") if name.strip()], asked, paging)
