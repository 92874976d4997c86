"""Compressed data in and out: gzip, deflate, zstd, unpacked without believing its size.

Zstandard is the standard library's of Python 3.14, brought to the ones before it by backports.zstd.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any

from modelyard.core.errors import Malformed, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_MEMBERS = 4096
"""How many gzip members or zstd frames may follow each other: each costs time, however little is in it."""

_CHUNK = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
# A frame may not ask for more than 8 MiB to look back in (RFC 9659).
_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}
_FAST = 1


def unpack(body: bytes | memoryview, packing: bytes, largest: int) -> bytes:
    """The body unpacked, where `packing` is gzip, x-gzip, deflate or zstd.

    Members (RFC 1952) and frames (RFC 8878) may follow each other. Raises TooLarge beyond `largest` bytes, without
    having unpacked more, and Malformed.
    """
    view, place, room, members = memoryview(body), 0, largest, 0
    make = _unpacker(packing, view)
    pieces: list[bytes] = []
    unpacker: Any = None
    while place < len(view):
        if unpacker is None:
            members += 1
            if members > (1 if packing == b"deflate" else MOST_MEMBERS):
                raise Malformed(f"The body is no {packing.decode()} data: something follows it, or too many pieces.")
            unpacker = make()
        # In chunks, since what follows the end of a member is copied.
        chunk = view[place : place + _CHUNK]
        try:
            piece = unpacker.decompress(chunk, room + 1)
        except (zlib.error, zstd.ZstdError):
            raise Malformed(f"The body is no {packing.decode()} data.") from None
        room -= len(piece)
        if room < 0:
            raise TooLarge(f"The body is larger than {largest} bytes when unpacked. Send fewer rows at once.")
        pieces.append(piece)
        place += len(chunk) - len(unpacker.unused_data)
        if unpacker.eof:
            unpacker = None
    if unpacker is not None or not members:
        raise Malformed(f"The body is no whole {packing.decode()} data: it is cut off.")
    return b"".join(pieces)


def pack(body: bytes, coding: bytes) -> bytes:
    """The body as zstd, gzip or deflate, quickly rather than small."""
    if coding == b"zstd":
        return zstd.compress(body, _FAST)
    return zlib.compress(body, _FAST, _GZIP if coding == b"gzip" else zlib.MAX_WBITS)


def _unpacker(packing: bytes, body: memoryview) -> Callable[[], Any]:
    if packing == b"zstd":
        return lambda: zstd.ZstdDecompressor(options=_WINDOW)
    window = _GZIP
    if packing == b"deflate":
        window = zlib.MAX_WBITS if _is_zlib(body) else -zlib.MAX_WBITS
    return lambda: zlib.decompressobj(window)


def _is_zlib(body: memoryview) -> bool:
    """Whether it begins like zlib data (RFC 1950); many clients send bare deflate data instead."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
