"""Which keys an object may have: those that every store keeps exactly as they are given."""

import re

from modelyard.core.errors import Invalid

LONGEST_KEY = 900
LONGEST_SEGMENT = 200
# A local store writes to `<name>#<number>` before it renames, a server may take a backslash for a slash.
_REFUSED = re.compile(r"[\x00-\x1f\x7f\\]|#\d+$")


def checked(key: str) -> str:
    """`key` itself. Raises Invalid where it is not a relative path of plain segments; sizes are bytes of UTF-8."""
    segments = key.split("/")
    if (
        not all(_plain(segment) for segment in segments)
        or len(key.encode("utf-8", "replace")) > LONGEST_KEY
        or any(len(segment.encode("utf-8", "replace")) > LONGEST_SEGMENT for segment in segments)
    ):
        raise Invalid(
            f"{key[:100]!r} cannot be the key of an object. Use a relative path without empty, '.' or '..' parts, "
            f"control characters or backslashes, of {LONGEST_KEY} bytes at the most."
        )
    return key


def checked_prefix(prefix: str) -> str:
    """The same for the prefix of a listing, where a slash may stand at the end and "" means every key."""
    return checked(prefix.removesuffix("/")) if prefix else ""


def _plain(segment: str) -> bool:
    return segment not in {"", ".", ".."} and not _REFUSED.search(segment) and _encodes(segment)


def _encodes(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
