"""When a lasting answer (a long poll, a stream) is to end: the client went, or this process is asked to stop."""

from fastapi import Request


async def over(request: Request) -> bool:
    """Whether nobody waits for the rest of this answer."""
    return bool(request.app.state.stopping()) or await request.is_disconnected()
