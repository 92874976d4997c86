"""The api process: opens the stores, makes the administrator at the first start, serves on its unix socket."""

import json
import logging
import os
import sys
from pathlib import Path

import uvicorn

from modelyard.api.app import create_app
from modelyard.core.errors import ModelyardError
from modelyard.core.folders import make_private
from modelyard.core.settings import Settings
from modelyard.features.auth import operations as auth
from modelyard.web.platform import Platform, open_platform

log = logging.getLogger("modelyard.api")
FIRST_LOGIN = "first-login.json"
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


def main(settings: Settings) -> int:
    """Serve until asked to stop; the exit code."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        auth.refuse_open_access_in_public(settings)
        platform = open_platform(settings)
        set_up(platform)
    except ModelyardError as error:
        log.error("%s", error.message)
        return 1
    serve(platform)
    return 0


def set_up(platform: Platform) -> None:
    """Make the organisation and its administrator at the first start, and leave the login where only its owner reads
    it."""
    with platform.database.session() as session:
        login = auth.set_up(session, platform.clock.now())
        if login is not None:
            # Written before the commit: a start that dies in between is a first start again, and writes it anew.
            _write_private(platform.settings.data / FIRST_LOGIN, {"url": _url(platform.settings), **login})


def serve(platform: Platform) -> None:
    """Serve on the api's unix socket until SIGTERM or SIGINT."""
    socket = platform.settings.api_socket
    make_private(socket.parent)
    app = create_app(platform.settings, platform=platform)
    config = uvicorn.Config(
        app,
        uds=str(socket),
        access_log=False,
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=int(platform.settings.server.drain_seconds),
        # The gateway in front is the only client and tells who is behind it.
        proxy_headers=True,
        forwarded_allow_ips="*",
    )
    log.info("the api listens on %s", socket)
    server = uvicorn.Server(config)
    app.state.stopping = lambda: server.should_exit
    server.run()


def _url(settings: Settings) -> str:
    if settings.server.public_url:
        return settings.server.public_url
    host = settings.server.host if settings.server.host not in EVERY_ADDRESS else "127.0.0.1"
    return f"http://{host}:{settings.server.port}"


def _write_private(path: Path, content: dict[str, str]) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)
