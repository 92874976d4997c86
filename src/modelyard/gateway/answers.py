"""The bytes of answers: status line and headers prepared, one error body for all."""

import http
import math
from collections.abc import Sequence

import msgspec

from modelyard.core.errors import ModelyardError
from modelyard.protocol.frames import MEDIA_TYPES, Content

REQUEST_ID = b"x-request-id"


def error_body(error: ModelyardError, request_id: str) -> bytes:
    """The one error body of the platform."""
    return msgspec.json.encode({"error": error.to_dict(), "request_id": request_id})


def error_headers(error: ModelyardError) -> list[tuple[bytes, bytes]]:
    """The headers that an error brings along."""
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


class Heads:
    """Beginnings of answers, made once for each status and content and thrown away when the date changes."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], bytes] = {}
        self._defaults: Sequence[tuple[bytes, bytes]] = ()

    def head(self, status: int, content: int, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Status line, `defaults` (date) and content type. `defaults` is compared by identity."""
        if defaults is not self._defaults:
            self._defaults = defaults
            self._made.clear()
        head = self._made.get((status, content))
        if head is None:
            head = self._made[status, content] = _head(status, Content(content), defaults)
        return head


def _head(status: int, content: Content, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [(b"content-type", MEDIA_TYPES[content].encode()), *defaults]
    return f"HTTP/1.1 {status} {phrase}\r\n".encode() + b"".join(b"%b: %b\r\n" % line for line in lines)
