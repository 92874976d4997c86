"""Seam: the object store. Bytes under keys, nothing else; no business nouns.

Keys are `/`-separated relative paths. An object appears whole or not at all.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class ObjectInfo(NamedTuple):
    """What is known of an object without reading it; `size` in bytes."""

    key: str
    size: int


class ObjectStore(ABC):
    """A store of bytes.

    Raises NotFound for a missing key, OutOfSpace where it is full, Unavailable where it is away.
    """

    @classmethod
    @abstractmethod
    def accepts(cls, url: str) -> bool:
        """Whether this store is meant by `url`."""

    @abstractmethod
    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        """Open the store at `url`. `options` say what the URL does not, by the names of the usual variables (AWS_…)."""

    @abstractmethod
    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> int:
        """Write an object, replacing what was there; the number of bytes written. Streams; memory stays bounded."""

    @abstractmethod
    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """The same from an asynchronous source. A source that raises leaves nothing behind."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object."""

    @abstractmethod
    def stream(self, key: str, *, chunk: int = 1 << 20) -> Iterator[bytes]:
        """The object piece by piece."""

    @abstractmethod
    def download(self, key: str, path: Path) -> None:
        """The object as a file."""

    @abstractmethod
    def info(self, key: str) -> ObjectInfo:
        """Its size."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key begins with `prefix` + `/`, sorted by key."""

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """A second object with the same bytes."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove it; a missing key is no error."""

    @abstractmethod
    def delete_all(self, prefix: str) -> int:
        """Remove every object below `prefix` + `/`; how many."""
