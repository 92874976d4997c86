"""What a request's body is, what its answer is to be, and how both are compressed: told from the headers alone."""

import re
from collections.abc import Mapping
from functools import lru_cache

from modelyard.core.errors import Unsupported
from modelyard.protocol.frames import Content, exchange
from modelyard.serving.packing import pack, unpack

__all__ = ["accepted", "content_of", "pack", "packing_of", "unpack"]

_ARROW = b"application/vnd.apache.arrow.stream"
_TYPES = {
    b"application/json": Content.JSON,
    b"text/json": Content.JSON,
    b"text/csv": Content.CSV,
    b"application/csv": Content.CSV,
    _ARROW: Content.ARROW,
}
_ANSWERS = {Content.JSON: b"application/*", Content.CSV: b"text/*", Content.ARROW: b"application/*"}
_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}
_PACKINGS = (b"zstd", b"gzip", b"deflate")
"""Those that are known, the best first."""

_WEIGHT = re.compile(rb"0(\.\d{0,3})?|1(\.0{0,3})?")
_KNOWN = 256
"""Headers whose meaning is remembered: clients send the same ones again and again."""


def content_of(headers: Mapping[bytes, bytes]) -> int:
    """The frame's `content` byte: what the body is and what the answer is to be. Raises Unsupported.

    An answer has the form of its request, unless Accept prefers another one that there is (RFC 9110, 12.5.1): by
    weight, then by being named rather than matched. What Accept names in vain is not held against the request.
    """
    return _content(headers.get(b"content-type"), headers.get(b"accept"))


@lru_cache(_KNOWN)
def _content(kind: bytes | None, accept: bytes | None) -> int:
    body = _body(kind)
    return exchange(body, body if accept is None else _answer(body, accept))


def _body(kind: bytes | None) -> Content:
    if kind is None or kind == b"application/json":
        return Content.JSON
    media, *parameters = kind.lower().split(b";")
    body = _TYPES.get(media.strip())
    if body is None:
        raise Unsupported(
            f"A prediction takes application/json, text/csv or {_ARROW.decode()}, not "
            f"{kind.decode('latin-1')[:100]!r}. Set Content-Type."
        )
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"charset" and value.strip().strip(b'"') not in _CHARSETS:
            raise Unsupported("The body must be UTF-8. Send it so, without a charset or with charset=utf-8.")
    return body


def _answer(body: Content, accept: bytes) -> Content:
    weights = _weights(accept)
    ranked = []
    for content, family in _ANSWERS.items():
        named = [weights[media] for media, meant in _TYPES.items() if meant is content and media in weights]
        # The most specific range that matches is the one that counts.
        weight = max(named) if named else weights.get(family, weights.get(b"*/*", 0.0))
        ranked.append((weight, bool(named), content is body, -content))
    best = max(ranked)
    return Content(-best[-1]) if best[0] else body


def packing_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """How the body is compressed, None where it is not. Raises Unsupported."""
    packing = headers.get(b"content-encoding")
    if packing is None or not packing.strip() or packing.strip().lower() == b"identity":
        return None
    packing = packing.strip().lower()
    if packing == b"x-gzip":
        return b"gzip"
    if packing not in _PACKINGS:
        raise Unsupported(
            f"Content-Encoding {packing.decode('latin-1')[:100]!r} is not known. Use zstd, gzip or deflate."
        )
    return packing


def accepted(headers: Mapping[bytes, bytes]) -> bytes | None:
    """How the answer may be compressed: zstd, gzip or deflate, whichever weighs most in Accept-Encoding.

    Of the same weight, the first of these. None where it is to be left as it is. RFC 9110, 12.5.3.
    """
    sent = headers.get(b"accept-encoding")
    return None if sent is None else _coding(sent)


@lru_cache(_KNOWN)
def _coding(sent: bytes) -> bytes | None:
    weights = _weights(sent)
    if b"x-gzip" in weights:
        weights.setdefault(b"gzip", weights[b"x-gzip"])
    rest = weights.get(b"*", 0.0)
    best = max(_PACKINGS, key=lambda packing: weights.get(packing, rest))
    weight = weights.get(best, rest)
    return best if weight and weight >= weights.get(b"identity", 0.0) else None


def _weights(header: bytes) -> dict[bytes, float]:
    """The members of a list header with their weights; one whose weight cannot be read counts as not there."""
    weights: dict[bytes, float] = {}
    for member in header.lower().split(b","):
        name, *parameters = (part.strip() for part in member.split(b";"))
        weight = next((value[2:] for value in parameters if value.startswith(b"q=")), b"1")
        if name and _WEIGHT.fullmatch(weight):
            weights[name] = max(float(weight), weights.get(name, 0.0))
    return weights
