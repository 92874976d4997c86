"""What every object store promises, over all of them: whole objects or none, bounded memory, plain errors."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelyard.core.errors import Invalid, NotFound
from modelyard.storage.objects.base import ObjectInfo, ObjectStore
from modelyard.storage.objects.opened import REGISTRY

MIB = 1 << 20


class SourceBroke(FileNotFoundError):
    """What the tests' own sources raise: of a kind that the stores themselves know."""


def test_every_store_is_tested_here() -> None:
    assert REGISTRY.names() == ["local", "s3"]


def test_what_was_put_comes_back(object_store: ObjectStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    assert object_store.put("a/bytes", b"bytes") == 5
    assert object_store.put("a/file", file) == 11
    assert object_store.put("a/pieces", iter([b"in ", b"", b"pieces"])) == 9
    assert object_store.put("a/nothing", b"") == 0
    assert object_store.put("a/no-pieces", iter(())) == 0
    read = {key: object_store.get(f"a/{key}") for key in ("bytes", "file", "pieces", "nothing", "no-pieces")}
    assert read == {
        "bytes": b"bytes", "file": b"from a file", "pieces": b"in pieces", "nothing": b"", "no-pieces": b"",
    }  # fmt: skip


def test_a_second_put_replaces_the_first(object_store: ObjectStore) -> None:
    object_store.put("key", b"first, and longer")
    object_store.put("key", b"second")
    assert object_store.get("key") == b"second"
    assert object_store.info("key") == ObjectInfo("key", 6)


@pytest.mark.parametrize(
    "key",
    ["with space", "ü/é/漢字", "x%20y", "a#b", "~", "a?b*[c]", "{x}", "q\"'", "a+b&c=d;e", "UPPER/lower", "x" * 200],
)
def test_keys_are_kept_as_they_are(object_store: ObjectStore, key: str) -> None:
    object_store.put(key, b"1")
    assert object_store.get(key) == b"1"
    assert [found.key for found in object_store.list("")] == [key]


@pytest.mark.parametrize(
    "key",
    ["", "/absolute", "../up", "a/../b", "a/./b", ".", "a//b", "a/", "nul\0", "line\nbreak", "back\\slash", "end#1",
     "x" * 201, "x/" * 500 + "x", "\ud800"],
)  # fmt: skip
def test_other_keys_are_refused_by_every_method(object_store: ObjectStore, key: str, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    for attempt in (
        lambda: object_store.put(key, b""),
        lambda: asyncio.run(object_store.put_stream(key, endless())),
        lambda: object_store.get(key),
        lambda: object_store.stream(key),
        lambda: object_store.download(key, tmp_path / "file"),
        lambda: object_store.info(key),
        lambda: object_store.copy(key, "ok"),
        lambda: object_store.copy("ok", key),
        lambda: object_store.delete(key),
    ):
        with pytest.raises(Invalid, match="cannot be the key"):
            attempt()
    assert list(object_store.list("")) == []


def test_the_whole_store_is_never_deleted_at_once(object_store: ObjectStore) -> None:
    object_store.put("a/b", b"1")
    for prefix in ("", "/", ".."):
        with pytest.raises(Invalid):
            object_store.delete_all(prefix)
    assert object_store.get("a/b") == b"1"


def test_a_missing_object_is_not_found(object_store: ObjectStore, tmp_path: Path) -> None:
    for attempt in (
        lambda: object_store.get("no/such"),
        lambda: object_store.stream("no/such"),
        lambda: object_store.download("no/such", tmp_path / "file"),
        lambda: object_store.info("no/such"),
        lambda: object_store.copy("no/such", "other"),
    ):
        with pytest.raises(NotFound, match="'no/such'"):
            attempt()
    assert list(tmp_path.glob("*file*")) == []


def test_deleting_what_is_not_there_is_no_error(object_store: ObjectStore) -> None:
    object_store.delete("no/such")
    assert object_store.delete_all("no/such") == 0


def test_a_listing_is_sorted_and_ends_at_the_folder(object_store: ObjectStore) -> None:
    keys = ["a/b/2", "a/b/10", "a/b.c", "a/b-c/d", "a/bb/x", "a/b/z/deep/er", "b"]
    for key in keys:
        object_store.put(key, key.encode())
    assert [found.key for found in object_store.list("")] == sorted(keys)
    assert [found.key for found in object_store.list("a/b")] == ["a/b/10", "a/b/2", "a/b/z/deep/er"]
    assert list(object_store.list("a/b/")) == list(object_store.list("a/b"))
    assert next(object_store.list("a/b")) == ObjectInfo("a/b/10", 6)
    assert list(object_store.list("no")) == []


def test_delete_all_removes_what_is_below_and_nothing_else(object_store: ObjectStore) -> None:
    for number in range(1100):
        object_store.put(f"a/b/{number}", b"1")
    object_store.put("a/bb/1", b"1")
    assert object_store.delete_all("a/b") == 1100
    assert [found.key for found in object_store.list("")] == ["a/bb/1"]


def test_a_copy_stays_when_its_source_goes(object_store: ObjectStore) -> None:
    object_store.put("source", b"bytes")
    object_store.put("copies/one", b"was here before")
    object_store.copy("source", "copies/one")
    object_store.delete("source")
    assert object_store.get("copies/one") == b"bytes"


def test_a_download_replaces_the_file(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.put("key", b"new")
    target = tmp_path / "file"
    target.write_bytes(b"old and longer")
    object_store.download("key", target)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.glob("*file*")) == ["file"]


def test_large_objects_stream_both_ways_in_little_memory(object_store: ObjectStore, tmp_path: Path) -> None:
    held: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(256):
            held.append(_memory())
            yield bytes([number]) * MIB

    def read() -> Iterator[bytes]:
        for piece in object_store.stream("big"):
            held.append(_memory())
            yield piece

    object_store.put("warm", b"1" * 20 * MIB)
    before = _memory()
    assert object_store.put("big", pieces()) == 256 * MIB
    assert object_store.put("again", read()) == 256 * MIB
    assert max(held) - before < 128 * MIB
    object_store.download("again", tmp_path / "big")
    with (tmp_path / "big").open("rb") as file:
        assert all(file.read(MIB) == bytes([number]) * MIB for number in range(256))


def test_an_asynchronous_source_is_streamed(object_store: ObjectStore) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            await asyncio.sleep(0)
            yield bytes([number]) * MIB

    assert asyncio.run(object_store.put_stream("key", pieces())) == 20 * MIB
    assert object_store.get("key") == b"".join(bytes([number]) * MIB for number in range(20))


@pytest.mark.parametrize("size", [1, 20 * MIB], ids=["small", "large"])
def test_a_source_that_breaks_leaves_nothing(object_store: ObjectStore, size: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * size
        raise SourceBroke("in the middle")

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    object_store.put("kept", b"before")
    for key in ("new", "kept"):
        with pytest.raises(SourceBroke, match="in the middle"):
            object_store.put(key, pieces())
        with pytest.raises(SourceBroke, match="in the middle"):
            asyncio.run(object_store.put_stream(key, later()))
    assert [found.key for found in object_store.list("")] == ["kept"]
    assert object_store.get("kept") == b"before"


def test_a_cancelled_upload_leaves_nothing_and_ends_at_once(object_store: ObjectStore) -> None:
    async def stalled(reached: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"x" * 20 * MIB
        reached.set()
        await asyncio.sleep(3600)

    async def scenario() -> None:
        reached = asyncio.Event()
        upload = asyncio.create_task(object_store.put_stream("key", stalled(reached)))
        await reached.wait()
        upload.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await upload

    asyncio.run(scenario())
    assert list(object_store.list("")) == []


def test_uploads_at_the_same_time_leave_one_of_them_whole(object_store: ObjectStore) -> None:
    async def pieces(mark: bytes) -> AsyncIterator[bytes]:
        for _ in range(10):
            await asyncio.sleep(0)
            yield mark * MIB

    async def scenario() -> None:
        await asyncio.gather(*(object_store.put_stream("key", pieces(bytes([mark]))) for mark in range(4)))

    asyncio.run(scenario())
    content = object_store.get("key")
    assert len(content) == 10 * MIB
    assert len(set(content)) == 1


def _memory() -> int:
    """What this process holds at the moment, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
