"""A release as a ZIP: `training/ validation/ test/` and `dataset.json`."""

from collections.abc import Iterator
from typing import Any

import msgspec

from modelyard.storage.objects.base import ObjectStore
from modelyard.web.archive import Member
from modelyard.web.archive import stream as stream_archive


def stream(objects: ObjectStore, description: dict[str, Any], manifest: list[dict[str, Any]]) -> Iterator[bytes]:
    """The archive's bytes.

    Every file as it was uploaded, or as text (.csv, .txt) where its rows were divided or edited. Two of one name in one
    folder are told apart by the sample's id.
    """
    return stream_archive(_members(objects, description, manifest))


def _members(objects: ObjectStore, description: dict[str, Any], manifest: list[dict[str, Any]]) -> Iterator[Member]:
    about = msgspec.json.format(msgspec.json.encode(description), indent=2)
    yield Member("dataset.json", len(about), [about])
    taken: set[str] = set()
    for entry in manifest:
        name = f"{entry['purpose']}/{entry['filename']}"
        if name in taken:
            name = f"{entry['purpose']}/{entry['sample']}-{entry['filename']}"
        taken.add(name)
        key = entry.get("original") or f"{entry['folder']}/original"
        yield Member(name, entry["size"], objects.stream(key))
