"""Internal routes: the routing table by long poll, and what gateways tell of their load."""

import time
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from modelyard.features.deployments import loads, observed
from modelyard.web.internal import Internal
from modelyard.web.lasting import over
from modelyard.web.platform import Platform
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/internal", dependencies=[Internal], include_in_schema=False)
LOOK_EVERY = 0.1


async def body_of(request: Request) -> bytes:
    """FastAPI dependency: the body's bytes."""
    return await request.body()


@router.get("/routing")
async def routing(
    request: Request,
    platform: PlatformOf,
    after: Annotated[int, Query()] = 0,
    wait: Annotated[float, Query(ge=0, le=60)] = 5,
    gateway: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The newest routing table as soon as its number is not `after`; 204 where nothing came for `wait` seconds.

    By asking, a gateway says that it serves by table `after`.
    """
    if gateway:
        await to_thread.run_sync(_note, platform, gateway, after)
    until = time.monotonic() + wait
    while True:
        document = await to_thread.run_sync(_published, platform, after)
        if document is not None:
            return Response(document, media_type="application/json")
        if time.monotonic() >= until or await over(request):
            return Response(status_code=204)
        await anyio.sleep(LOOK_EVERY)


@router.post("/load", status_code=204)
def load(body: Annotated[bytes, Depends(body_of)], session: DbSession) -> None:
    """A gateway's report of its load (protocol/load.py)."""
    loads.take(session, body)


@router.post("/wake", status_code=204)
def wake(platform: PlatformOf, deployment: Annotated[str, Query(max_length=200)]) -> None:
    """A request waits for this deployment (its key), which is scaled to zero."""
    with platform.database.session(read_only=True) as session:
        if not loads.anyone_asleep(session, deployment):
            return
    with platform.database.session() as session:
        loads.wake(session, deployment)


def _published(platform: Platform, after: int) -> bytes | None:
    with platform.database.session(read_only=True) as session:
        return observed.published(session, after)


def _note(platform: Platform, gateway: str, number: int) -> None:
    with platform.database.session(read_only=True) as session:
        if observed.gateway_is_noted(session, gateway, number):
            return
    with platform.database.session() as session:
        observed.note_gateway(session, gateway, number)
