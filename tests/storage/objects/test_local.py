"""The folder store: what a full disk, a foreign folder and the disk's own listing show."""

import asyncio
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelyard.core.errors import Broken, OutOfSpace
from modelyard.storage.objects.opened import open_store

MIB = 1 << 20


@pytest.fixture
def full_at_3_mib(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes no more than 3 MiB: a disk of that size, or where none can be mounted, a limit on files."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, hard))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(full_at_3_mib: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * MIB

    store = open_store(str(full_at_3_mib / "objects"))
    store.put("kept", b"before")
    with pytest.raises(OutOfSpace, match=r"objects is full\. Free some space"):
        store.put("large", b"x" * 5 * MIB)
    with pytest.raises(OutOfSpace):
        store.put("large", iter([b"x" * MIB] * 20))
    with pytest.raises(OutOfSpace):
        asyncio.run(store.put_stream("kept", pieces()))
    assert _files(full_at_3_mib) == ["kept"]
    assert store.get("kept") == b"before"
    store.put("after", b"there is room again" * 1000)


def test_a_full_disk_is_told_by_a_download(full_at_3_mib: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "objects"))
    store.put("large", b"x" * 5 * MIB)
    with pytest.raises(OutOfSpace):
        store.download("large", full_at_3_mib / "file")
    assert _files(full_at_3_mib) == []


def test_an_upload_under_way_is_not_listed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    seen: list[list[str]] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 20 * MIB
        seen.append([found.key for found in await asyncio.to_thread(store.list, "")])
        yield b"y"

    asyncio.run(store.put_stream("key", pieces()))
    assert seen == [[]]
    assert [found.key for found in store.list("")] == ["key"]


def test_no_empty_folders_stay_behind(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/with%20space")
    store.put("a/b/c", b"1")
    store.delete_all("a")
    assert list((tmp_path / "with space").iterdir()) == []


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Broken, match="MODELYARD_OBJECTS_URL"):
        open_store(str(tmp_path / "file" / "objects"))


def test_a_key_cannot_be_a_folder_too(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("a/b", b"1")
    with pytest.raises(Broken):
        store.put("a", b"1")
    assert _files(tmp_path) == ["b"]


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]
