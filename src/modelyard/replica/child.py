"""Process: what runs shut in, `python -m modelyard.replica.child`: one version that holds code, asked over a socket.

The version folder is `/version`, the socket is file descriptor 3 (replica/wire.py). It ends when nobody asks any more.
"""

import contextlib
import socket
import sys
import traceback
from pathlib import Path

from modelyard.core.errors import Invalid
from modelyard.formats._answers import choose
from modelyard.formats.base import Predictor, RequestPredictor
from modelyard.formats.registry import open_version
from modelyard.replica import wire

VERSION = "/version"
SOCKET = 3


def main() -> int:
    """Load the version and answer; the exit code."""
    connection = socket.socket(fileno=SOCKET)
    try:
        predictor = open_version(Path(VERSION))
    except BaseException as error:  # noqa: BLE001 - the version's code may raise anything; the other end is told
        connection.sendall(_failure(error))
        return 1
    connection.sendall(wire.told_ready(words=isinstance(predictor, RequestPredictor)))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            connection.sendall(_answer(predictor, wire.asked(connection)))
    return 0


def _answer(predictor: Predictor, question: wire.Question) -> bytes:
    batch, options = question
    try:
        if options is not None and isinstance(predictor, RequestPredictor):
            return wire.told_entries(predictor.answer(batch, choose(predictor.Options, options)))
        return wire.told(predictor.predict(batch))
    except Exception as error:  # noqa: BLE001 - as above
        return _failure(error)


def _failure(error: BaseException) -> bytes:
    if isinstance(error, Invalid):
        return wire.told_failure(error.message, invalid=True)
    traceback.print_exc()
    return wire.told_failure(str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
