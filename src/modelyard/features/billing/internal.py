"""Internal routes: pieces of the gateways' usage journals."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from modelyard.features.billing.ingest import ingest, note_shipped
from modelyard.web.internal import Internal
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/internal/usage", dependencies=[Internal], include_in_schema=False)
Journal = Annotated[str, Query(min_length=1, max_length=200)]


async def body_of(request: Request) -> bytes:
    """FastAPI dependency: the body's bytes."""
    return await request.body()


@router.post("")
def take(
    lines: Annotated[bytes, Depends(body_of)],
    platform: PlatformOf,
    journal: Journal,
    offset: Annotated[int, Query(ge=0, lt=1 << 62)],
) -> dict[str, int]:
    """Take the piece of a journal that begins at byte `offset`, as far as it is new.

    The answer, and a refusal's `detail` where the piece begins too far on, says how much of the journal is taken now.
    """
    return {"accepted": ingest(platform.database, journal, offset, lines)}


@router.post("/shipped", status_code=204)
def shipped(journal: Journal, session: DbSession, platform: PlatformOf) -> None:
    """A journal is taken and its file deleted."""
    note_shipped(session, journal, platform.clock.now())
