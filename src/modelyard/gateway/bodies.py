"""What a request's body is, what its answer is to be, and unpacking it without believing its size."""

import zlib
from collections.abc import Mapping

from modelyard.core.errors import Malformed, TooLarge, Unsupported
from modelyard.protocol.frames import Content, exchange

_TYPES = {
    b"application/json": Content.JSON,
    b"text/json": Content.JSON,
    b"text/csv": Content.CSV,
    b"application/csv": Content.CSV,
}
_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def content_of(headers: Mapping[bytes, bytes]) -> int:
    """The frame's `content` byte: what the body is and what the answer is to be. Raises Unsupported.

    An answer has the form of its request unless Accept names exactly the other one.
    """
    body = _body(headers.get(b"content-type"))
    accept = headers.get(b"accept")
    return exchange(body, body if accept is None else _answer(body, accept.lower()))


def _body(kind: bytes | None) -> Content:
    if kind is None or kind == b"application/json":
        return Content.JSON
    media, *parameters = kind.lower().split(b";")
    body = _TYPES.get(media.strip())
    if body is None:
        raise Unsupported(
            f"A prediction takes application/json or text/csv, not {kind.decode('latin-1')[:100]!r}. Set Content-Type."
        )
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"charset" and value.strip().strip(b'"') not in _CHARSETS:
            raise Unsupported("The body must be UTF-8. Send it so, without a charset or with charset=utf-8.")
    return body


def _answer(body: Content, accept: bytes) -> Content:
    named = {content for media, content in _TYPES.items() if media in accept}
    return named.pop() if len(named) == 1 else body


def packing_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """How the body is compressed, None where it is not. Raises Unsupported."""
    packing = headers.get(b"content-encoding")
    if packing is None or not packing.strip() or packing.strip().lower() == b"identity":
        return None
    packing = packing.strip().lower()
    if packing not in _WINDOWS:
        raise Unsupported(f"Content-Encoding {packing.decode('latin-1')[:100]!r} is not known. Use gzip or deflate.")
    return packing


def unpack(body: bytes, packing: bytes, largest: int) -> bytes:
    """The body unpacked. Raises TooLarge beyond `largest` bytes, without having unpacked more, and Malformed."""
    window = _WINDOWS[packing]
    if packing == b"deflate" and not _is_zlib(body):
        window = -zlib.MAX_WBITS
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(body, largest + 1)
    except zlib.error:
        raise Malformed(f"The body is no {packing.decode()} data.") from None
    if len(plain) > largest:
        raise TooLarge(f"The body is larger than {largest} bytes when unpacked. Send fewer rows at once.")
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed(f"The body is no whole {packing.decode()} data: it is cut off or something follows it.")
    return plain


def _is_zlib(body: bytes) -> bool:
    """Whether it begins like zlib data (RFC 1950); many clients send bare deflate data instead."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
