"""What the stores behind obstore share: streaming with bounded memory, and its errors told as ours."""

import asyncio
import os
import re
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore
from typing import NoReturn

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from modelyard.core.errors import Broken, ModelyardError, NotFound, OutOfSpace, Unavailable
from modelyard.storage.objects.base import ObjectInfo, ObjectStore
from modelyard.storage.objects.keys import checked, checked_prefix

PART = 8 << 20  # S3 takes 10,000 parts at the most: objects up to 78 GiB
AT_ONCE = 4  # parts under way, so an upload holds about 40 MiB
DELETED_AT_ONCE = 1000

_FULL = re.compile(r"os error (28|122|27)\b|code: 507\b|\b507 |InsufficientStorage|StorageFull|QuotaExceeded")
_AWAY = re.compile(r"HTTP error|status code: (5\d\d|429)|timed out|error sending request")
# Without keys the client asks the machine it believes to run on.
_KEYLESS = re.compile(r"/latest/(api/token|meta-data)")
_DENIED = re.compile(r"status code: 40[13]|os error (13|1|30)\b|SignatureDoesNotMatch|AccessDenied|InvalidAccessKeyId")


class ObstoreStore(ObjectStore):
    """An object store over one obstore client. What derives says which, and how errors name the place."""

    _client: LocalStore | S3Store

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the objects are, in the words of an error message."""

    @property
    @abstractmethod
    def access_hint(self) -> str:
        """What an administrator does when the store refuses access."""

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> int:
        checked(key)
        if isinstance(data, Path):
            with data.open("rb") as file, self._told(key):
                obstore.put(self._client, key, file, chunk_size=PART, max_concurrency=AT_ONCE)
            return data.stat().st_size
        if isinstance(data, bytes):
            with self._told(key):
                obstore.put(self._client, key, data, chunk_size=PART, max_concurrency=AT_ONCE)
            return len(data)
        return self._put_pieces(key, data)

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        checked(key)
        source = _AsyncCounted(chunks)
        with self._told(key, source):
            upload = asyncio.ensure_future(
                obstore.put_async(self._client, key, source, chunk_size=PART, max_concurrency=AT_ONCE)
            )
            try:
                await asyncio.shield(upload)
            except asyncio.CancelledError:
                # A cancelled upload would leave its parts in the store; one whose source fails takes them back.
                source.give_up()
                await asyncio.wait({upload})
                upload.exception()
                raise
        return source.size

    def get(self, key: str) -> bytes:
        checked(key)
        with self._told(key):
            return bytes(obstore.get(self._client, key).bytes())

    def stream(self, key: str, *, chunk: int = 1 << 20) -> Iterator[bytes]:
        checked(key)
        with self._told(key):
            pieces = obstore.get(self._client, key).stream(min_chunk_size=chunk)

        def read() -> Iterator[bytes]:
            with self._told(key):
                for piece in pieces:
                    yield bytes(piece)

        return read()

    def download(self, key: str, path: Path) -> None:
        pieces = self.stream(key, chunk=PART)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            partial.replace(path)
        except OSError as error:
            if _FULL.search(f"os error {error.errno}"):
                raise OutOfSpace(
                    f"There is no space left to download {key!r} to {path.parent}.", retry_after=30
                ) from error
            raise
        finally:
            partial.unlink(missing_ok=True)

    def info(self, key: str) -> ObjectInfo:
        checked(key)
        with self._told(key):
            return ObjectInfo(key, obstore.head(self._client, key)["size"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        prefix = checked_prefix(prefix)
        with self._told(prefix):
            found = [
                ObjectInfo(entry["path"], entry["size"])
                for batch in obstore.list(self._client, prefix or None, chunk_size=1000)
                for entry in batch
            ]
        # Servers and file systems disagree on the order.
        return iter(sorted(found))

    def copy(self, source: str, target: str) -> None:
        checked(source)
        checked(target)
        with self._told(source):
            obstore.copy(self._client, source, target)

    def delete(self, key: str) -> None:
        checked(key)
        with self._told(key):
            try:
                obstore.delete(self._client, key)
            except FileNotFoundError:
                return

    def delete_all(self, prefix: str) -> int:
        keys = [found.key for found in self.list(checked(prefix.removesuffix("/")))]
        for start in range(0, len(keys), DELETED_AT_ONCE):
            self._delete_together(keys[start : start + DELETED_AT_ONCE])
        return len(keys)

    def _delete_together(self, keys: Sequence[str]) -> None:
        try:
            with self._told(keys[0]):
                obstore.delete(self._client, keys)
        except NotFound:
            # Somebody else deletes the same: one by one, so that a missing object does not shield the others.
            for key in keys:
                self.delete(key)

    def _put_pieces(self, key: str, pieces: Iterable[bytes]) -> int:
        """The source runs in the caller's thread: in obstore's own it could not use a store itself."""
        feed, size = _Feed(), 0
        with ThreadPoolExecutor(1) as thread:
            upload = thread.submit(obstore.put, self._client, key, feed, chunk_size=PART, max_concurrency=AT_ONCE)
            upload.add_done_callback(feed.close)
            try:
                for piece in filter(None, pieces):
                    size += len(piece)
                    if not feed.give(piece):
                        break
            except BaseException:
                feed.give(None)
                upload.exception()
                raise
            feed.give(b"")
            with self._told(key):
                upload.result()
        return size

    @contextmanager
    def _told(self, key: str, source: "_AsyncCounted | None" = None) -> Iterator[None]:
        """Turns obstore's errors into ours; what the caller's own `source` raised stays what it was."""
        try:
            yield
        except ModelyardError:
            raise
        except (BaseError, FileNotFoundError, PermissionError) as error:
            if source is not None and source.raised is not None:
                raise source.raised from None
            self._raise(key, error)

    def _raise(self, key: str, error: Exception) -> NoReturn:
        text = str(error)
        if "NoSuchBucket" in text:
            raise Broken(f"{self.place} does not exist. Create it, or change the object store's URL.") from error
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"There is no object {key!r}.") from error
        if _FULL.search(text):
            raise OutOfSpace(f"{self.place} is full. Free some space, then try again.", retry_after=30) from error
        if _KEYLESS.search(text):
            raise Broken(f"{self.place} cannot be used without a key. {self.access_hint}") from error
        denied = (PermissionDeniedError, UnauthenticatedError, PermissionError)
        if isinstance(error, denied) or _DENIED.search(text):
            raise Broken(f"{self.place} refuses access. {self.access_hint}") from error
        if _AWAY.search(text):
            raise Unavailable(f"{self.place} does not answer. Try again shortly.", retry_after=5) from error
        raise Broken(f"{self.place} failed: {text.splitlines()[0][:300]}") from error


class _GivenUp(Exception):
    """Ends an upload whose caller has gone, or whose source broke."""


class _Feed:
    """Pieces on their way from the thread that makes them to the one that uploads them, a few at a time."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = Semaphore(2)
        self._closed = False

    def give(self, piece: bytes | None) -> bool:
        """Hand on a piece, b"" at the end, None to give up. False when nobody takes any more."""
        self._room.acquire()
        if not self._closed:
            self._pieces.put(piece)
        return not self._closed

    def close(self, _: object) -> None:
        """Nobody takes any more."""
        self._closed = True
        self._room.release(3)

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> bytes:
        piece = self._pieces.get()
        self._room.release()
        if piece is None:
            raise _GivenUp
        if not piece:
            raise StopIteration
        return piece


class _AsyncCounted:
    """An asynchronous source that remembers how many bytes went through and what it raised.

    `give_up` makes it fail at once, even while it waits.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._pull: asyncio.Task[bytes | None] | None = None
        self._gone = False
        self.size = 0
        self.raised: BaseException | None = None

    def give_up(self) -> None:
        self._gone = True
        if self._pull is not None:
            self._pull.cancel()

    def __aiter__(self) -> "_AsyncCounted":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self.raised = error
            raise
        self.size += len(chunk)
        return chunk

    async def _next(self) -> bytes:
        if self._gone:
            raise _GivenUp
        self._pull = asyncio.ensure_future(_pulled(self._chunks))
        try:
            chunk = await self._pull
        except asyncio.CancelledError:
            raise _GivenUp from None
        if chunk is None:
            raise StopAsyncIteration
        return chunk


async def _pulled(chunks: AsyncIterator[bytes]) -> bytes | None:
    """The next chunk, None at the end: a task must not end with StopAsyncIteration."""
    return await anext(chunks, None)
