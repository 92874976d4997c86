"""Objects as files below a folder: the default. A file is written under a name nobody lists, then renamed."""

import asyncio
import os
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore

from modelyard.core.errors import Broken, OutOfSpace
from modelyard.storage.objects._obstore import ObstoreStore


class FolderStore(ObstoreStore):
    """A folder, given as a path or a `file:` URL; made where it is missing."""

    @classmethod
    def accepts(cls, url: str) -> bool:
        return "://" not in url or url.startswith("file://")

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:  # noqa: ARG002 - it has none
        path = unquote(urlsplit(url).path) if url.startswith("file://") else url
        self._folder = Path(path).expanduser().absolute()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Broken(
                f"{self.place} cannot be made: {error.strerror}. Change MODELYARD_OBJECTS_URL or the folder's owner."
            ) from error
        # Empty folders are taken away with their last object, so that a listing of the disk tells what there is.
        self._client = LocalStore(self._folder, automatic_cleanup=True)

    @property
    def place(self) -> str:
        return f"The object store's folder {self._folder}"

    @property
    def access_hint(self) -> str:
        return "Give it to the user that the platform runs as."

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> int:
        size = super().put(key, data)
        self._settle(key)
        return size

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        size = await super().put_stream(key, chunks)
        await asyncio.to_thread(self._settle, key)
        return size

    def copy(self, source: str, target: str) -> None:
        super().copy(source, target)
        self._settle(target)

    def _settle(self, key: str) -> None:
        """Bring an object to the disk before its row: no row may outlive a power failure better than its object."""
        file = self._folder / key
        try:
            for path in (file, file.parent):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            self.delete(key)
            raise OutOfSpace(f"{self.place} could not keep {key}: {error.strerror}. Free some space.") from error
