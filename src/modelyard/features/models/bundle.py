"""A version's folder as a ZIP that is made while it is sent."""

from collections.abc import Iterator
from typing import Any

from modelyard.storage.objects.base import ObjectStore
from modelyard.web.archive import Member
from modelyard.web.archive import stream as stream_archive


def stream(objects: ObjectStore, folder: str, files: list[dict[str, Any]]) -> Iterator[bytes]:
    """The archive's bytes, every file at its own path."""
    members = (Member(entry["path"], entry["size"], objects.stream(f"{folder}/{entry['path']}")) for entry in files)
    return stream_archive(members)
