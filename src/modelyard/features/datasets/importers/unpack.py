"""Packed files: one that is packed by itself (.gz, .bz2, .xz) or an archive of many (ZIP, tar), told by their bytes.

What is packed may be made to harm: it may unpack to more than any disk holds, name places outside of its folder, or be
a link. Here only plain files come out, under names of our own, and never more than the limits.
"""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple

from modelyard.core.errors import OutOfSpace
from modelyard.features.datasets.importers.errors import BadArchive, UnpacksToTooMuch

PIECE = 1 << 20
FILES = 20_000
RATIO = 500
FREE_RATIO = 100 << 20
"""Up to so many bytes any ratio is believed: a small file of one letter packs very well."""
FREE_DISK = 200 << 20
_PACKED = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ": "xz"}
_OPENERS: dict[str, Callable[[Path, Literal["rb"]], Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_ENDINGS = (".gz", ".bz2", ".xz")
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_JUNK = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


class Limits(NamedTuple):
    """What unpacking may come to: bytes in all, and files."""

    size: int
    files: int = FILES


class Member(NamedTuple):
    """A file of an archive: its path there, checked, and where it lies now."""

    name: PurePosixPath
    path: Path


def packing(path: Path) -> str:
    """`gz`, `bz2` or `xz` where the file is packed by itself, else empty."""
    with path.open("rb") as file:
        head = file.read(6)
    return next((kind for magic, kind in _PACKED.items() if head.startswith(magic)), "")


def is_archive(path: Path) -> bool:
    """Whether a file that is not packed (any more) is a ZIP or a tar; a workbook, a ZIP too, is none."""
    if zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(4) not in {b"PK\x03\x04", b"PK\x05\x06"}:
                return False
        return not _is_document(path)
    with path.open("rb") as file:
        return file.read(512)[257:262] == b"ustar"


def plain_name(filename: str) -> str:
    """The name without the ending of its packing."""
    lowered = filename.lower()
    if lowered.endswith(".tgz"):
        return f"{filename[:-4]}.tar"
    return next((filename[: -len(end)] for end in _ENDINGS if lowered.endswith(end)), filename)


def unpack(path: Path, target: Path, kind: str, limits: Limits) -> Path:
    """What a packed file holds, at `target`. Raises BadArchive, UnpacksToTooMuch."""
    counter = _Counter(limits, path.stat().st_size, target.parent)
    with _told("The file"), _OPENERS[kind](path, "rb") as source, target.open("wb") as file:
        counter.copy(source, file)
    return target


def extract(path: Path, folder: Path, limits: Limits) -> list[Member]:
    """The plain files of an archive, in its order, written to `folder` under numbers.

    Raises BadArchive where one would lie outside, is a link or no file at all, UnpacksToTooMuch.
    """
    counter = _Counter(limits, path.stat().st_size, folder)
    members: list[Member] = []
    with _told("The archive"):
        for given, source in _entries(path, limits):
            name = _checked(given)
            if name is None:
                continue
            target = folder / str(len(members))
            with target.open("wb") as file:
                counter.copy(source, file)
            members.append(Member(name, target))
    return members


class _Counter:
    """Copies, and stops where it becomes too much."""

    def __init__(self, limits: Limits, packed: int, folder: Path) -> None:
        self._most = min(limits.size, max(FREE_RATIO, RATIO * packed))
        self._written, self._folder = 0, folder

    def copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        while piece := source.read(PIECE):
            self._written += len(piece)
            if self._written > self._most:
                raise UnpacksToTooMuch(
                    f"It unpacks to more than {self._most:,} bytes. Unpack it, and upload what you need of it."
                )
            if self._written % (64 * PIECE) < PIECE and shutil.disk_usage(self._folder).free < FREE_DISK:
                raise OutOfSpace("The disk is full. Free some space, then upload again.", retry_after=60)
            target.write(piece)


def _entries(path: Path, limits: Limits) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(path):
        yield from _zip_entries(path, limits)
    else:
        yield from _tar_entries(path, limits)


def _zip_entries(path: Path, limits: Limits) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        _check_count(len(archive.infolist()), limits)
        for entry in archive.infolist():
            kind = entry.external_attr >> 28
            if entry.is_dir():
                continue
            # 8 is a plain file, 0 says nothing, as archives from Windows do.
            if kind not in {0, 8}:
                raise BadArchive(f"{entry.filename!r} in the archive is a link or no file. Put plain files into it.")
            if entry.flag_bits & 1:
                raise BadArchive(f"{entry.filename!r} in the archive is locked with a password. Save it without one.")
            with archive.open(entry) as source:
                yield entry.filename, source


def _tar_entries(path: Path, limits: Limits) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r:") as archive:
        for number, entry in enumerate(archive, 1):
            _check_count(number, limits)
            if entry.isdir():
                continue
            source = archive.extractfile(entry) if entry.isreg() else None
            if source is None:
                raise BadArchive(f"{entry.name!r} in the archive is a link or no file. Put plain files into it.")
            with source:
                yield entry.name, source


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.files:
        raise UnpacksToTooMuch(
            f"The archive holds more than {limits.files:,} files. Join them to tables, or part the archive."
        )


def _checked(given: str) -> PurePosixPath | None:
    """The path of a member; None for what systems leave in archives. Raises BadArchive for one that leads outside."""
    text = given.replace("\\", "/")
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0][1:2] or "\0" in text or not name.name:
        raise BadArchive(
            f"{given[:100]!r} in the archive leads outside of it. Make the archive from within its folder."
        )
    if any(part in _JUNK or part.startswith(".") for part in name.parts):
        return None
    return name


def _is_document(path: Path) -> bool:
    """Whether a ZIP is a workbook or another office document."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist()[:50])
    except (zipfile.BadZipFile, OSError):
        return False
    return bool({"[Content_Types].xml", "mimetype"} & names)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadArchive(f"{what} is damaged or cut off ({str(error)[:200]}). Pack it again.") from error
