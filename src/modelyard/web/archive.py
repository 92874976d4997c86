"""A ZIP that is made while it is sent: nothing is kept but the piece under way."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

EPOCH = (1980, 1, 1, 0, 0, 0)
LARGE = 1 << 31


class Member(NamedTuple):
    """One file of an archive: its name in it, its size in bytes, its bytes piece by piece."""

    name: str
    size: int
    content: Iterable[bytes]


class _Pipe(io.RawIOBase):
    """What zipfile writes into: kept only until the next piece is taken out."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def stream(members: Iterable[Member]) -> Iterator[bytes]:
    """The archive's bytes. Times are fixed, so that the same members give the same bytes."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=member.size >= LARGE) as target:
                for chunk in member.content:
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()
