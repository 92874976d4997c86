"""What can be uploaded: a path, bytes, an open file or a data frame, as a body that is sent piece by piece."""

import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from modelyard.core.errors import Invalid, NotFound, Unsupported

PIECE = 256 * 1024
Progress = Callable[[int, int | None], None]
"""Called with the bytes sent so far and the size of the whole, None where that is not known."""


class Body(ABC):
    """Bytes to send. `size` is None where it is not known before; `repeatable` says that they can be read again."""

    name: str
    size: int | None
    repeatable: bool = True
    on_progress: Progress | None = None

    @abstractmethod
    def _open(self) -> IO[bytes]:
        """The bytes from their beginning."""

    def _close(self, file: IO[bytes]) -> None:
        file.close()

    def pieces(self) -> Iterator[bytes]:
        """The bytes from their beginning, piece by piece, telling how far it is."""
        sent = 0
        for piece in self._read():
            yield piece
            sent += len(piece)
            if self.on_progress is not None:
                self.on_progress(sent, self.size)

    def sha256(self) -> str:
        """The SHA-256 of the bytes, in hex. Only of what is repeatable."""
        digest = hashlib.sha256()
        for piece in self._read():
            digest.update(piece)
        return digest.hexdigest()

    def _read(self) -> Iterator[bytes]:
        file = self._open()
        try:
            while piece := file.read(PIECE):
                yield piece
        finally:
            self._close(file)


class FileBody(Body):
    """A file on disk, never held in memory."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        if path.is_dir():
            raise Invalid(f"{path} is a folder. Name a file in it.")
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
        self._path, self.name, self.size = path, name or path.name, path.stat().st_size

    def _open(self) -> IO[bytes]:
        return self._path.open("rb")


class BytesBody(Body):
    """Bytes in memory."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self.name, self.size = content, name, len(content)

    def _open(self) -> IO[bytes]:
        return io.BytesIO(self._content)


class StreamBody(Body):
    """An open binary file of the caller's, which stays open. One that cannot be rewound can be sent only once."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self.name, self.repeatable = file, name, file.seekable()
        self._begin = file.tell() if self.repeatable else 0
        self.size = self._left() if self.repeatable else None

    def _left(self) -> int:
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(self._begin)
        return end - self._begin

    def _open(self) -> IO[bytes]:
        if self.repeatable:
            self._file.seek(self._begin)
        return self._file

    def _close(self, file: IO[bytes]) -> None: ...


def body_of(data: Any, filename: str | None = None) -> Body:
    """The body for a path, bytes, an open binary file, or a pandas or polars data frame (sent as CSV).

    Raises NotFound where no such file is, Unsupported for anything else.
    """
    if isinstance(data, (str, os.PathLike)):
        return FileBody(Path(data).expanduser(), filename)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return BytesBody(bytes(data), filename or "data.csv")
    if is_frame(data):
        return BytesBody(csv_of(data).encode(), filename or "data.csv")
    if hasattr(data, "read"):
        name = filename or Path(str(getattr(data, "name", "data.csv"))).name
        if isinstance(data, io.TextIOBase):
            raise Unsupported(f"{name} is open as text. Open it with mode 'rb'.")
        return StreamBody(data, name)
    raise Unsupported(
        f"A {type(data).__name__} cannot be uploaded. Give a path, bytes, an open binary file or a data frame."
    )


def is_frame(data: Any) -> bool:
    """Whether it is a pandas or polars data frame; neither is imported for that."""
    return hasattr(data, "columns") and (hasattr(data, "to_csv") or hasattr(data, "write_csv"))


def csv_of(frame: Any) -> str:
    """A data frame as CSV with a header and without its index."""
    return str(frame.to_csv(index=False) if hasattr(frame, "to_csv") else frame.write_csv())
