"""W3C Trace Context: which trace a request belongs to, passed on with this hop as the parent of the next.

https://www.w3.org/TR/trace-context/ (Level 1) and https://www.w3.org/TR/trace-context-2/. A trace is kept in the 25
bytes of the frames (protocol/frames.py): trace id 16, parent id 8, flags 1.
"""

import random
import re
from binascii import unhexlify

from modelyard.protocol.frames import TRACE_SIZE

_IDS = rb"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_is_traceparent = re.compile(rb"00%b|(?!00|ff)[0-9a-f]{2}%b(?:-.*)?" % (_IDS, _IDS)).fullmatch
_KNOWN_FLAGS = 0x03
"""Sampled (Level 1) and random trace id (Level 2). The others must be passed on as 0."""

# Ids have to differ, not to be secret; seeded by the system once per process.
_bits = random.Random().getrandbits  # noqa: S311


def parse(traceparent: bytes) -> bytes | None:
    """The trace that the header names, 25 bytes; None where it is not valid.

    Version ff, upper case and ids that are all zero are not. Of a version above 00 only what 00 knows is read; more may
    follow it after a dash.
    """
    value = traceparent.strip(b" \t")
    if _is_traceparent(value) is None:
        return None
    trace = unhexlify(value[3:35] + value[36:52] + value[53:55])
    return trace if trace[24] <= _KNOWN_FLAGS else trace[:24] + bytes((trace[24] & _KNOWN_FLAGS,))


def child(trace: bytes) -> bytes:
    """The same trace with a new parent id: this hop's."""
    return trace[:16] + (_bits(64) or 1).to_bytes(8, "big") + trace[24:TRACE_SIZE]


def header(trace: bytes) -> bytes:
    """The value of the header `traceparent`, in version 00."""
    digits = trace.hex()
    return f"00-{digits[:32]}-{digits[32:48]}-{digits[48:50]}".encode()
