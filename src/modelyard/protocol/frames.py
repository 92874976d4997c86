"""The frames that gateway and replica exchange on one multiplexed connection.

    u32 body length | u32 request id | u8 kind | u8 content | u16 tag | u32 value | body      (little endian, 16 bytes)

kind      what the frame is: see `Kind`
content   what the body is: see `Content`; in a request its high four bits say what the answer is to be
tag       in a request the slot of the version in the replica; in a reply the HTTP status
value     in a request the deadline in milliseconds from now (0: none); in a reply the number of rows answered

READY, the replica's first frame, has a JSON object as its body: slot to `prefix/model/vN`. DRAIN from the replica says
that it is leaving; from the gateway, that it will send nothing more on this connection.
"""

import struct
from enum import IntEnum

HEADER = struct.Struct("<IIBBHI")


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    REPLY = 2
    READY = 3
    DRAIN = 4
    PING = 5
    PONG = 6


class Content(IntEnum):
    """What a frame's body is."""

    JSON = 0
    CSV = 1


def exchange(body: Content, answer: Content) -> int:
    """The `content` of a request with this body that is to be answered in this form."""
    return body | answer << 4


MEDIA_TYPES = {Content.JSON: "application/json", Content.CSV: "text/csv; charset=utf-8"}
