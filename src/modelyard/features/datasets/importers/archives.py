"""Archives of tables: which member is a sample, what its rows are for, and which label its folder gives."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from modelyard.features.datasets.importers.errors import BadArchive, NoRows
from modelyard.features.datasets.importers.text import as_utf8
from modelyard.features.datasets.importers.unpack import Member

TEXTS = "text-classification"
PURPOSES = {
    "training": "training", "train": "training", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
LONGEST_TEXT = 1 << 20
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|changelog|notice|authors|citation)(\..*)?|.*\.md", re.IGNORECASE)


class Part(NamedTuple):
    """A file that is to become one sample. `purpose` is None where the archive does not say."""

    filename: str
    purpose: str | None
    path: Path


def parts(members: Sequence[Member], scenario: str, stem: str, folder: Path) -> tuple[list[Part], list[str]]:
    """What the members become, and the names of those that are left out for they are no data.

    The folders training, validation and test give the purpose. For text classification the .txt files of a folder are
    texts with its name as their label: they become one sample for each purpose, written to `folder`. Raises BadArchive.
    """
    left, out = _without_about(members)
    if not left:
        raise BadArchive("The archive holds no data. Put tables, logs or texts into it.")
    top = _common(left)
    found, texts = [], defaultdict[str | None, list[Member]](list)
    for member in left:
        inside = PurePosixPath(*member.name.parts[len(top) :])
        purpose = _purpose((*top, *inside.parts[:-1]))
        if scenario == TEXTS and inside.suffix.lower() == ".txt":
            texts[purpose].append(member)
        else:
            found.append(Part(_flat(inside, purpose), purpose, member.path))
    for purpose, some in texts.items():
        path = folder / f"texts-{purpose or 'all'}"
        _join(some, top, path)
        found.append(Part(f"{stem}-{purpose}.jsonl" if purpose else f"{stem}.jsonl", purpose, path))
    return found, out


def _without_about(members: Sequence[Member]) -> tuple[list[Member], list[str]]:
    """The members without what tells about them: a README, a licence, the description in a release's download."""
    kept, out = [], []
    for member in members:
        if _ABOUT.fullmatch(member.name.name) or _describes_release(member):
            out.append(str(member.name))
        else:
            kept.append(member)
    return kept, out


def _describes_release(member: Member) -> bool:
    if member.name.name != "dataset.json" or member.path.stat().st_size > 64 << 20:
        return False
    try:
        content = msgspec.json.decode(member.path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(content, dict) and {"checksum", "files"} <= set(content)


def _common(members: Sequence[Member]) -> tuple[str, ...]:
    """The folders that all members lie in."""
    first, *rest = (member.name.parts[:-1] for member in members)
    length = 0
    while length < len(first) and all(parts[: length + 1] == first[: length + 1] for parts in rest):
        length += 1
    return first[:length]


def _purpose(folders: Sequence[str]) -> str | None:
    return next((PURPOSES[name.lower()] for name in folders if name.lower() in PURPOSES), None)


def _flat(inside: PurePosixPath, purpose: str | None) -> str:
    """A file name that says where the file was: what a release's download keeps."""
    folders = [name for name in inside.parts[:-1] if purpose is None or name.lower() not in PURPOSES]
    return "-".join((*folders, inside.name))[-200:]


def _join(members: Sequence[Member], top: tuple[str, ...], path: Path) -> None:
    """The texts of many files with their labels, an object on each line."""
    written = 0
    with path.open("wb") as file:
        for record in _texts(members, top, path.parent):
            file.write(msgspec.json.encode(record) + b"\n")
            written += 1
    if not written:
        raise NoRows("The .txt files of the archive are all empty. Put texts into them.")


def _texts(members: Sequence[Member], top: tuple[str, ...], folder: Path) -> Iterator[dict[str, str | None]]:
    for member in members:
        if member.path.stat().st_size > LONGEST_TEXT:
            raise BadArchive(f"{member.name} is longer than {LONGEST_TEXT:,} bytes: too long for one text. Part it.")
        content = as_utf8(member.path, folder, mark=False).read_text(encoding="utf-8").strip()
        if content:
            yield {"text": content, "label": _label(member.name, top)}


def _label(name: PurePosixPath, top: tuple[str, ...]) -> str | None:
    """The folder that names the class: the first below those that all share, and below that of the purpose."""
    inside = [folder for folder in name.parts[len(top) : -1] if folder.lower() not in PURPOSES]
    shared = [folder for folder in top if folder.lower() not in PURPOSES]
    if inside:
        return inside[0]
    return shared[-1] if shared else None
