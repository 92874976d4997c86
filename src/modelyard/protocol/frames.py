"""The frames that gateway and replica exchange on one multiplexed connection.

    u32 body length | u32 request id | u8 kind | u8 content | u16 tag | u32 value | body      (little endian, 16 bytes)

kind      what the frame is: see `Kind`
content   what the body is: see `Content`; in a request its high four bits say what the answer is to be
tag       in a request the slot of the version in the replica; in a reply the HTTP status
value     in a request the deadline in milliseconds from now (0: none); in a reply the number of rows answered

READY, the replica's first frame, has a JSON object as its body: slot to `Holding` (protocol/processes.py). DRAIN from
the replica says that it is leaving; from the gateway, that it will send nothing more on this connection. A kind with
TRACED set has the trace in front of its body: 16 bytes trace id, 8 bytes parent id, 1 byte flags (W3C Trace Context).
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


TRACED = 0x80
TRACE_SIZE = 25


class Content(IntEnum):
    """What a frame's body is.

    V2 and V2_BINARY are of the Open Inference Protocol; the latter has the length of its JSON part, as a little-endian
    u32, in front. MLFLOW is what MLflow's scoring server takes and answers as JSON.
    """

    JSON = 0
    CSV = 1
    ARROW = 2
    V2 = 3
    V2_BINARY = 4
    MLFLOW = 5


def exchange(body: Content, answer: Content) -> int:
    """The `content` of a request with this body that is to be answered in this form."""
    return body | answer << 4


MEDIA_TYPES = {
    Content.JSON: "application/json",
    Content.CSV: "text/csv; charset=utf-8",
    Content.ARROW: "application/vnd.apache.arrow.stream",
    Content.V2: "application/json",
    Content.V2_BINARY: "application/octet-stream",
    Content.MLFLOW: "application/json",
}
