"""Files of a version folder that every format shares: its checksums, its description, its signature."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from modelyard.core.errors import Broken
from modelyard.protocol.artifact import CHECKSUMS, DESCRIPTION, SIGNATURE, Artifact, FileEntry
from modelyard.protocol.signature import Signature

Message = TypeVar("Message", bound=msgspec.Struct)


def read_artifact(folder: Path) -> Artifact:
    """What `model.json` says. Raises Broken."""
    return _read(folder / DESCRIPTION, Artifact)


def read_signature(folder: Path) -> Signature:
    """What `signature.json` says. Raises Broken."""
    return _read(folder / SIGNATURE, Signature)


def write(path: Path, message: msgspec.Struct | object) -> None:
    """Any message as JSON that a person can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(message), indent=2) + b"\n")


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """Every file in the folder, sorted by path."""
    return tuple(
        FileEntry(path=name, size=path.stat().st_size, sha256=sha256(path)) for name, path in sorted(_files(folder))
    )


def write_checksums(folder: Path) -> str:
    """Write SHA256SUMS over every other file, in the form of sha256sum(1); the SHA-256 of SHA256SUMS itself, in hex."""
    path = folder / CHECKSUMS
    path.unlink(missing_ok=True)
    path.write_text("".join(f"{entry.sha256}  {entry.path}\n" for entry in entries(folder)), encoding="utf-8")
    return sha256(path)


def verify_checksums(folder: Path, checksum: str | None = None) -> None:
    """Hold every file against SHA256SUMS, and that file against `checksum` where it is given.

    Raises Broken for a file that is missing, changed, or not listed.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise Broken(f"{folder.name} has no {CHECKSUMS}: the version is incomplete. Train it again.")
    if checksum is not None and sha256(path) != checksum:
        raise Broken(f"{folder.name}/{CHECKSUMS} is not the one that was registered. Train the version again.")
    listed = dict(_listed(path))
    present = {name: file for name, file in _files(folder) if name != CHECKSUMS}
    if listed.keys() != present.keys():
        odd = ", ".join(sorted(listed.keys() ^ present.keys()))
        raise Broken(f"{folder.name} has missing or additional files: {odd}. Train the version again.")
    for name, expected in listed.items():
        if sha256(present[name]) != expected:
            raise Broken(f"{folder.name}/{name} was changed or damaged. Train the version again.")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_symlink() or (not path.is_file() and not path.is_dir()):
            raise Broken(f"{path.name} in {folder.name} is neither a file nor a folder.")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or ".." in PurePosixPath(name).parts:
            raise Broken(f"{path.parent.name}/{CHECKSUMS} has a line that is no checksum: {line[:80]!r}.")
        yield name, digest


def _read(path: Path, kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise Broken(f"{path.parent.name}/{path.name} cannot be read: {error}. Train the version again.") from error
