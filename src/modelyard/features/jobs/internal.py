"""Internal routes: what a worker says about its job. Bodies are protocol messages, read and written by msgspec."""

from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from modelyard.core.errors import Malformed
from modelyard.features.jobs import operations as jobs
from modelyard.protocol.jobs import EventBatch, Finish, Heartbeat
from modelyard.web.internal import Internal
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/internal/jobs", dependencies=[Internal], include_in_schema=False)
Message = TypeVar("Message")


async def body_of(request: Request) -> bytes:
    """FastAPI dependency: the body's bytes."""
    return await request.body()


Body = Annotated[bytes, Depends(body_of)]


@router.post("/{job}/claim")
def claim(job: str, body: Body, session: DbSession, platform: PlatformOf) -> Response:
    """A worker begins; the answer is its JobSpec."""
    token = _decoded(body, Heartbeat).token
    return _encoded(jobs.claim(session, job, token, platform.settings.jobs))


@router.post("/{job}/heartbeat")
def heartbeat(job: str, body: Body, platform: PlatformOf) -> Response:
    """A sign of life; the answer is whether to stop."""
    token, settings = _decoded(body, Heartbeat).token, platform.settings.jobs
    with platform.database.session(read_only=True) as session:
        answer = jobs.stop_wanted(session, job, token)
        due = jobs.renewal_is_due(session, job, settings)
    if due:
        with platform.database.session() as session:
            jobs.renew(session, job, token, settings)
    return _encoded(answer)


@router.post("/{job}/events", status_code=204)
def events(job: str, body: Body, session: DbSession) -> None:
    """Progress, log lines, metric points, records and checkpoints, each taken once."""
    jobs.take_events(session, job, _decoded(body, EventBatch))


@router.post("/{job}/finish", status_code=204)
def finish(job: str, body: Body, session: DbSession, platform: PlatformOf) -> None:
    """A worker's last word."""
    jobs.finish(session, job, _decoded(body, Finish), platform.settings.jobs)


def _decoded(body: bytes, kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The message does not fit {kind.__name__}: {error}.") from None


def _encoded(message: Any) -> Response:
    return Response(msgspec.json.encode(message), media_type="application/json")
